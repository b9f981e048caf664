"""The DuckDB file: whole publications, readers undisturbed, reading only."""

import math
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import LINK_NAME, publish, query
from crypto_pool.adapters.unfinished_files import name_unfinished
from crypto_pool.domain.features import feature_names
from crypto_pool.domain.reference import logit
from crypto_pool.domain.tables import PREDICTIONS, TABLES, views
from crypto_pool.errors import QueryError

DEAD_PROCESS = 2**22 + 1  # above the largest process id Linux gives


def make_prediction(symbol: str = "BTC", **changes: Any) -> dict[str, Any]:
    return {
        "prediction_date": date(2024, 1, 31),
        "symbol": symbol,
        "trend": "uptrend",
        "probability": 0.1 + 0.2,
        "signal": False,
        "status": "active",
        "decision_threshold": 0.5,
        "reference_probability": math.nan,
        "model_name": f"{symbol}_uptrend_model",
        "model_version": "3",
        "algorithm": "XGBoost",
        "target_pct": 0.05,
        "prediction_window_days": 10,
        "trained_through": "2024-01-20",
        "in_sample": True,
        "features": {"MACD": 1 / 3, "7_day_RSI": 55.0, "PPO": None},
        "predicted_at_utc": datetime(2024, 2, 1, 1, 2, 3, tzinfo=UTC),
        "dagster_run_id": None,
        "synthetic": True,
    } | changes


def make_predictions(*rows: dict[str, Any]) -> dict[str, pd.DataFrame]:
    return {"predictions": pd.DataFrame(list(rows))}


def test_prediction_comes_back_in_full_precision(tmp_path: Path) -> None:
    """Types as declared, features by name, what is undefined NULL."""
    publish(tmp_path, make_predictions(make_prediction()))
    row = query(tmp_path, "SELECT * FROM predictions").iloc[0]
    assert list(row.index) == list(PREDICTIONS.names)
    assert row["probability"] == 0.1 + 0.2
    assert row["prediction_date"] == pd.Timestamp("2024-01-31")
    assert row["predicted_at_utc"] == pd.Timestamp("2024-02-01 01:02:03")
    assert row["model_version"] == 3
    assert row["features"] == {"MACD": 1 / 3, "7_day_RSI": 55.0, "PPO": None}
    nulls = query(
        tmp_path,
        "SELECT reference_probability IS NULL AND dagster_run_id IS NULL AS nulls, "
        "features['MACD'] AS macd FROM predictions",
    )
    assert nulls["nulls"].tolist() == [True]
    assert nulls["macd"].tolist() == [1 / 3]


def test_column_types_are_as_declared(tmp_path: Path) -> None:
    """Also of tables without rows; every table is there."""
    publish(tmp_path, {})
    for name, table in TABLES.items():
        described = query(tmp_path, f"DESCRIBE {name}")
        assert dict(zip(described["column_name"], described["column_type"], strict=True)) == {
            column.name: column.kind.sql for column in table.columns
        }
        assert query(tmp_path, f"SELECT * FROM {name}").empty
        assert set(described.loc[described["null"] == "NO", "column_name"]) == set(table.key)


def test_the_file_explains_itself(tmp_path: Path) -> None:
    """Each table, column and view says what it holds."""
    publish(tmp_path, {})
    columns = query(tmp_path, "SELECT table_name, column_name, comment FROM duckdb_columns()")
    said = columns.set_index(["table_name", "column_name"])["comment"]
    for name, table in TABLES.items():
        for column in table.columns:
            assert said.loc[name, column.name] == column.comment
    tables = query(tmp_path, "SELECT table_name, comment FROM duckdb_tables()")
    assert dict(tables.itertuples(index=False)) == {
        name: f"{table.comment} Key: {', '.join(table.key)}." for name, table in TABLES.items()
    }
    made = query(tmp_path, "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal")
    shown = {view.name: view.comment for view in views(feature_names())}
    assert dict(made.itertuples(index=False)) == shown
    for view in shown:
        assert query(tmp_path, f"FROM {view}").empty


def test_the_input_of_a_loaded_model_is_a_view(tmp_path: Path) -> None:
    """Its features by name, in order, and both clipped log odds, as they are computed."""
    inputs = {name: float(place) for place, name in enumerate(feature_names())}
    known = {"reference_probability": 0.999, "panel_probability": 0.25}
    surest = make_prediction("ETH", features=inputs, **known)
    publish(tmp_path, make_predictions(surest | {"symbol": "BTC"}, surest))
    rows = query(tmp_path, "FROM model_input WHERE symbol = 'ETH'")
    assert rows[list(feature_names())].iloc[0].to_dict() == inputs
    given = [rows["reference_logit"].iat[0], rows["panel_logit"].iat[0]]
    assert given == pytest.approx(logit(pd.Series([0.999, 0.25])).to_list(), abs=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"features": '{"MACD": 0.25, "PPO": NaN}', "predicted_at_utc": "2024-02-01T02:02:03+01:00"},
        {
            "features": {"MACD": 0.25, "PPO": math.nan},
            "predicted_at_utc": pd.Timestamp("2024-02-01 01:02:03"),
            "prediction_date": "2024-01-31",
            "model_version": 3.0,
        },
        {
            "features": {"MACD": 0.25, "PPO": None},
            "prediction_date": pd.Timestamp("2024-01-31"),
            "trained_through": date(2024, 1, 20),
            "model_version": 3,
        },
    ],
)
def test_values_in_other_forms_mean_the_same(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Mappings or JSON text, dates or text, naive or aware times."""
    publish(tmp_path, make_predictions(make_prediction(**changes)))
    row = query(tmp_path, "SELECT * FROM predictions").iloc[0]
    assert row["features"] == {"MACD": 0.25, "PPO": None}
    assert row["predicted_at_utc"] == pd.Timestamp("2024-02-01 01:02:03")
    assert row["prediction_date"] == pd.Timestamp("2024-01-31")
    assert row["trained_through"] == pd.Timestamp("2024-01-20")
    assert row["model_version"] == 3


def test_market_tables_take_the_date_from_the_index(tmp_path: Path) -> None:
    """Bars as the store gives them, features with the columns they have."""
    index = pd.DatetimeIndex(["2024-01-01", "2024-01-02"], name="date")
    bars = pd.DataFrame({"symbol": "BTC", "close": [1.0, 2.0]}, index=index)
    features = pd.DataFrame({"symbol": "BTC", "7_day_ADX": [5.0, 6.0]}, index=index)
    publish(tmp_path, {"daily_bars": bars, "feature_tables": features})
    assert query(tmp_path, "SELECT close FROM daily_bars WHERE date = '2024-01-02'").iat[0, 0] == 2
    rows = query(tmp_path, "SELECT * FROM feature_tables ORDER BY date")
    assert list(rows.columns) == ["symbol", "date", "7_day_ADX"]
    assert rows["7_day_ADX"].tolist() == [5.0, 6.0]


def test_models_tables_are_published(tmp_path: Path) -> None:
    """Feature importance as JSON text; a column nobody declared is refused, not dropped."""
    champion = {"symbol": "BTC", "trend": "uptrend", "feature_importance": {"MACD": 0.1}}
    score = {
        "symbol": "BTC",
        "trend": "uptrend",
        "algorithm": "XGBoost",
        "precision": None,
        "slice_size": 50,
    }
    outcome = {"prediction_date": "2024-01-31", "symbol": "BTC", "trend": "uptrend", "outcome": 1}
    publish(
        tmp_path,
        {
            "champions": pd.DataFrame([champion]),
            "candidate_scores": pd.DataFrame([score]),
            "prediction_outcomes": pd.DataFrame([outcome]),
        },
    )
    sql = "SELECT feature_importance->>'MACD' AS share FROM champions"
    assert query(tmp_path, sql)["share"].tolist() == ["0.1"]
    assert query(tmp_path, "SELECT slice_size FROM candidate_scores").iat[0, 0] == 50
    assert query(tmp_path, "SELECT outcome FROM prediction_outcomes").iat[0, 0] == 1.0
    with pytest.raises(QueryError, match="table candidate_scores has no column tp"):
        publish(tmp_path, {"candidate_scores": pd.DataFrame([score | {"tp": 4}])})


def test_repeated_key_is_refused_and_the_last_file_stays(tmp_path: Path) -> None:
    """The key is date, symbol and trend; no half-built file remains."""
    first = publish(tmp_path, make_predictions(make_prediction()))
    publish(tmp_path, make_predictions(make_prediction(), make_prediction("ETH")))
    with pytest.raises(QueryError, match=r"table predictions do not fit it: .*uplicate"):
        publish(tmp_path, make_predictions(make_prediction(), make_prediction(probability=0.9)))
    with pytest.raises(QueryError, match="no table forecasts; tables are predictions"):
        publish(tmp_path, {"forecasts": pd.DataFrame()})
    assert query(tmp_path, "SELECT count(*) FROM predictions").iat[0, 0] == 2
    assert len(list(tmp_path.iterdir())) == 3
    assert first.exists()


def test_interrupted_publication_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C before the rename changes nothing that is visible."""
    publish(tmp_path, make_predictions(make_prediction()))
    before = sorted(path.name for path in tmp_path.iterdir())

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            publish(tmp_path, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert len(query(tmp_path, "FROM predictions")) == 1


def test_open_reader_keeps_reading_while_new_files_are_published(tmp_path: Path) -> None:
    """Neither waits for the other, even when the reader's file is removed."""
    publish(tmp_path, make_predictions(make_prediction()))
    with duckdb.connect(str((tmp_path / LINK_NAME).resolve()), read_only=True) as reader:
        count = "SELECT count(*) FROM predictions"
        for _ in range(5):
            publish(tmp_path, make_predictions(make_prediction(), make_prediction("ETH")))
            assert reader.execute(count).fetchone() == (1,)
            assert query(tmp_path, count).iat[0, 0] == 2


def test_only_the_newest_publications_are_kept(tmp_path: Path) -> None:
    """Three by default; the link names the last, relative, so that the folder can move."""
    published = [publish(tmp_path, {}) for _ in range(5)]
    assert sorted(tmp_path.glob("crypto_pool-*.duckdb")) == published[-3:]
    assert os.readlink(tmp_path / LINK_NAME) == published[-1].name
    publish(tmp_path, {}, keep=1)
    assert len(list(tmp_path.iterdir())) == 2
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert query(moved, "FROM predictions").empty


def test_wal_of_a_stranger_spoils_nothing(tmp_path: Path) -> None:
    """Left beside the link by a writer of another file, or beside an old publication."""
    old = publish(tmp_path, {})
    foreign = tmp_path / "elsewhere.duckdb"
    writer = duckdb.connect(str(foreign))
    writer.execute("CREATE TABLE t AS SELECT 1")
    wal = foreign.with_name("elsewhere.duckdb.wal").read_bytes()
    writer.close()
    assert wal
    (tmp_path / f"{LINK_NAME}.wal").write_bytes(wal)
    old.with_name(f"{old.name}.wal").write_bytes(wal)
    publish(tmp_path, make_predictions(make_prediction()))
    assert len(query(tmp_path, "FROM predictions")) == 1
    publish(tmp_path, {}, keep=1)
    assert not old.with_name(f"{old.name}.wal").exists()


def test_leftover_of_a_killed_publication_goes_with_the_next(tmp_path: Path) -> None:
    """The half-built file and its log; a living writer's file stays."""
    alive = name_unfinished(tmp_path / "crypto_pool-1.duckdb")
    dead = Path(str(alive).replace(f".{os.getpid()}.", f".{DEAD_PROCESS}."))
    for path in (alive, dead, dead.with_name(f"{dead.name}.wal")):
        path.write_bytes(b"half")
    published = publish(tmp_path, {})
    assert {path.name for path in tmp_path.iterdir()} == {alive.name, published.name, LINK_NAME}


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM predictions",
        "INSERT INTO champions (symbol) VALUES ('BTC')",
        "CREATE TABLE t (x INTEGER)",
        "DROP TABLE predictions",
        "COPY predictions TO '{folder}/out.csv'",
        "ATTACH '{folder}/other.duckdb' AS other",
        "SET enable_external_access = true",
    ],
)
def test_writing_query_is_refused(tmp_path: Path, sql: str) -> None:
    """Tables, other files and the lock itself."""
    publish(tmp_path, make_predictions(make_prediction()))
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(QueryError, match="for reading only"):
        query(tmp_path, sql.format(folder=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert len(query(tmp_path, "FROM predictions")) == 1


def test_the_file_is_one_that_clients_since_1_0_open(tmp_path: Path) -> None:
    """Its format is that of DuckDB 1.0, and it holds no index, which 1.0 cannot read."""
    header = publish(tmp_path, make_predictions(make_prediction())).read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    assert int.from_bytes(header[12:20], "little") == 64
    assert query(tmp_path, "FROM duckdb_indexes()").empty
    kinds = query(tmp_path, "SELECT DISTINCT constraint_type AS kind FROM duckdb_constraints()")
    assert set(kinds["kind"]) == {"NOT NULL"}


def test_faulty_query_gives_the_message_of_the_database(tmp_path: Path) -> None:
    """And without a file, the command that makes one."""
    with pytest.raises(QueryError, match="run `crypto-pool build` first"):
        query(tmp_path, "SELECT 1")
    publish(tmp_path, {})
    with pytest.raises(QueryError, match="forecasts does not exist"):
        query(tmp_path, "SELECT * FROM forecasts")
    with pytest.raises(QueryError, match="syntax error"):
        query(tmp_path, "SELEC 1")
    for path in tmp_path.glob("crypto_pool-*.duckdb"):
        path.write_bytes(b"garbage" * 1000)
    with pytest.raises(QueryError, match="refused the query"):
        query(tmp_path, "SELECT 1")


def test_predictions_make_their_way_through_the_frame_store(tmp_path: Path) -> None:
    """Days without a champion, and a column that is null on some days, join the others."""
    store = FrameStore(str(tmp_path / "frames"))
    nameless = make_prediction(prediction_date=date(2024, 2, 1), dagster_run_id="r", features=None)
    store.write("daily_predictions", "2024-01-30", pd.DataFrame([]))
    store.write("daily_predictions", "2024-01-31", pd.DataFrame([make_prediction()]))
    store.write("daily_predictions", "2024-02-01", pd.DataFrame([nameless]))
    publish(tmp_path, {"predictions": store.read_all("daily_predictions")})
    rows = query(tmp_path, "SELECT * FROM predictions ORDER BY prediction_date")
    assert rows["probability"].tolist() == [0.1 + 0.2] * 2
    assert rows["features"][0] == {"MACD": 1 / 3, "7_day_RSI": 55.0, "PPO": None}
    assert rows["dagster_run_id"].isna().tolist() == [True, False]
    store.write("none", "2024-01-30", pd.DataFrame([]))
    publish(tmp_path, {"predictions": store.read_all("none")})
    assert query(tmp_path, "FROM predictions").empty


READER = """
import sys, duckdb
assert duckdb.__version__ == sys.argv[2], duckdb.__version__
pool = duckdb.connect(sys.argv[1], read_only=True)
print(pool.execute("SELECT symbol, round(probability, 2) FROM today").fetchall())
"""


@pytest.mark.long
@pytest.mark.parametrize("release", ["1.0.0", "1.2.2", "1.4.1"])
def test_older_duckdb_reads_the_file(tmp_path: Path, release: str) -> None:
    publish(tmp_path, make_predictions(make_prediction()))
    older = tmp_path / "older"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
    ]
    got = subprocess.run(
        [*install, "--target", str(older), f"duckdb=={release}"], capture_output=True, text=True
    )
    if got.returncode:
        pytest.skip(f"duckdb {release} cannot be had here: {got.stderr.strip()[-200:]}")
    reader = [sys.executable, "-c", READER, str(tmp_path / LINK_NAME), release]
    path = {**os.environ, "PYTHONPATH": str(older)}
    read = subprocess.run(reader, capture_output=True, text=True, env=path)
    assert read.stdout.strip() == "[('BTC', 0.3)]", read.stderr
