"""The tables of the DuckDB file: columns, types and keys, whatever form values come in."""

import math
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import publish, query
from crypto_pool.adapters.publication_rows import Change
from crypto_pool.domain.features import feature_names
from crypto_pool.domain.reference import logit
from crypto_pool.domain.tables import PREDICTIONS, TABLES
from crypto_pool.domain.views import views
from crypto_pool.errors import QueryError
from crypto_pool_tests.adapters.prediction_rows import make_prediction, make_predictions


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
    publish(tmp_path, {"daily_bars": bars, "feature_tables": Change([features])})
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


def test_predictions_make_their_way_through_the_frame_store(tmp_path: Path) -> None:
    """Days without a champion, and a column that is null on some days, join the others."""
    store = FrameStore(str(tmp_path / "frames"))
    nameless = make_prediction(prediction_date=date(2024, 2, 1), dagster_run_id="r", features=None)
    store.write("daily_predictions", "2024-01-30", pd.DataFrame([]))
    store.write("daily_predictions", "2024-01-31", PREDICTIONS.frame([make_prediction()]))
    store.write("daily_predictions", "2024-02-01", PREDICTIONS.frame([nameless]))
    publish(tmp_path, {"predictions": store.read_all("daily_predictions")})
    rows = query(tmp_path, "SELECT * FROM predictions ORDER BY prediction_date")
    assert rows["probability"].tolist() == [0.1 + 0.2] * 2
    assert rows["features"][0] == {"MACD": 1 / 3, "7_day_RSI": 55.0, "PPO": None}
    assert rows["dagster_run_id"].isna().tolist() == [True, False]
    store.write("none", "2024-01-30", pd.DataFrame([]))
    publish(tmp_path, {"predictions": store.read_all("none")})
    assert query(tmp_path, "FROM predictions").empty
