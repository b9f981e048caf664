"""What is published when a coin's file or a member cannot be read, by real runs."""

from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import LINK_NAME, query
from crypto_pool.defs.assets.outcomes import realised_performance
from crypto_pool.defs.assets.publication import prediction_tables
from crypto_pool.defs.batches import recorded_failures
from crypto_pool.defs.checks import ISOLATED, every_partition_processed
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.columns import (
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    JSON,
    MAP,
    TIMESTAMP,
    VARCHAR,
    VERSION,
)
from crypto_pool.domain.recipe import DEFAULT_TARGET
from crypto_pool.domain.tables import TABLES
from crypto_pool.errors import ModelUnavailable
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.settings import load_settings
from crypto_pool.workflow import reviewing
from crypto_pool.workflow.panel import panel_terms

DAYS_STORED = "SELECT symbol, count(*) AS days FROM daily_bars GROUP BY symbol"


DAYS = ("2022-01-01", "2022-01-02")
MEMBERS = ("BTC|uptrend", "ETH|uptrend")
GONE = ("XRPOLD|uptrend", "LUNAOLD|uptrend")
TERMS = panel_terms(DEFAULT_TARGET)
KEYS = {
    **dict.fromkeys(TABLES, DAYS),
    **dict.fromkeys(("daily_bars", "feature_tables"), ("BTC", "ETH")),
    # Those of the pool's own members are derived from the ledger before each publication.
    "champions": GONE,
    **dict.fromkeys(("candidate_scores", "promotions"), MEMBERS),
    "panel_forecasts": [f"{TERMS}|{day}" for day in DAYS],
}
BY_COIN = ("daily_bars", "feature_tables")


def stored_pool(data):
    """Two files of every table, with one row each, as the pool stores them."""
    store = FrameStore(str(data / "parquet"))
    for table in TABLES.values():
        for place, key in enumerate(KEYS[table.name]):
            row = stored_row(table, key, place)
            if table.name in BY_COIN:
                frame = pd.DataFrame([row]).drop(columns="symbol").set_index("date")
                frame.index = pd.DatetimeIndex(frame.index, name="date")
            else:
                frame = table.frame([row])
            if table.name == "panel_forecasts":
                frame = frame.set_index(list(table.key))
            store.write(table.store_name, key, frame)
    return store


def stored_row(table, key, place):
    day = date.fromisoformat(DAYS[place])
    values = {"symbol": ("BTC", "ETH")[place], "trend": "uptrend", "model_version": str(place + 1)}
    plain = {
        DOUBLE: 0.25, INTEGER: 3, VERSION: str(place + 1), BOOLEAN: bool(place), DATE: day,
        TIMESTAMP: pd.Timestamp(day) + pd.Timedelta(hours=30), JSON: {"a": 0.5}, MAP: {"a": 0.5},
        VARCHAR: "x",
    }  # fmt: skip
    if table.name == "champions":
        values["symbol"] = key.split("|")[0]
    if table.name == "candidate_scores":
        values["algorithm"] = "RandomForest"
    return table.row(values, {column.name: plain[column.kind] for column in table.columns})


def sorted_rows(data, table):
    rows = query(data, f"SELECT * FROM {table}")
    return sorted(map(str, rows.itertuples(index=False, name=None)))


@pytest.fixture
def data(tmp_path, monkeypatch, empty_store):
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_bytes(empty_store)
    monkeypatch.setenv("CRYPTO_POOL_DATA_DIR", str(tmp_path))
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


def write_bars(data, symbol, days):
    bars = SyntheticMarket().bars(symbol, date(2022, 1, 1)).tail(days)
    return FrameStore(str(data / "parquet")).write("daily_bars", symbol, bars)


def published(*before):
    made = [*before, prediction_tables]
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [*made, *(every_partition_processed(one.key) for one in made)],
            resources={"pool": PoolResource(bar_date="", only=[])},
            instance=instance,
            raise_on_error=False,
        )


def test_a_damaged_publication_does_not_stop_the_one_that_mends_it(data):
    victim = write_bars(data, "BTC", 5)
    write_bars(data, "ETH", 5)
    assert published().success
    for file in (victim, (data / LINK_NAME).resolve()):
        with open(file, "wb") as damaged:
            damaged.write(b"half a file")

    published()

    assert dict(query(data, DAYS_STORED).to_numpy()) == {"ETH": 5}


def test_a_coin_that_cannot_be_read_keeps_its_rows_and_stops_no_other(data):
    victim = write_bars(data, "BTC", 5)
    write_bars(data, "ETH", 5)
    assert published().success
    before = query(data, "SELECT * FROM daily_bars WHERE symbol = 'BTC' ORDER BY date")
    with open(victim, "wb") as file:
        file.write(b"half a file")
    write_bars(data, "ETH", 7)

    result = published()

    assert dict(query(data, DAYS_STORED).to_numpy()) == {"BTC": 5, "ETH": 7}
    after = query(data, "SELECT * FROM daily_bars WHERE symbol = 'BTC' ORDER BY date")
    assert after.equals(before)
    assert not result.success
    [failed] = [event for event in result.all_events if event.is_step_failure]
    assert "prediction_tables [BTC]: CorruptPartition" in str(failed.step_failure_data.error)
    assert "delete it, then run `crypto-pool build`" in str(failed.step_failure_data.error)


def test_a_coin_that_never_could_be_read_has_no_rows(data):
    victim = write_bars(data, "BTC", 5)
    write_bars(data, "ETH", 5)
    with open(victim, "wb") as file:
        file.write(b"half a file")
    assert not published().success
    assert dict(query(data, DAYS_STORED).to_numpy()) == {"ETH": 5}


def test_a_member_that_cannot_be_reviewed_holds_up_no_publication(data, monkeypatch):
    """The registry of one member answers with an error of MLflow's own."""
    from mlflow.exceptions import MlflowException

    found = reviewing.champion_of

    def champion_of(registry, member, *decisions):
        if member.name == "ETH_uptrend":
            raise MlflowException("its version is gone")
        return found(registry, member, *decisions)

    monkeypatch.setattr(reviewing, "champion_of", champion_of)
    write_bars(data, "ETH", 5)
    assert realised_performance.key in ISOLATED
    keys = [realised_performance.key, prediction_tables.key]
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [realised_performance, prediction_tables, *map(every_partition_processed, keys)],
            resources={"pool": PoolResource(bar_date="", only=[])},
            instance=instance,
            raise_on_error=False,
        )
        failures = recorded_failures(instance, result.run_id)

    assert list(map(str, failures)) == [
        "realised_performance [ETH|uptrend]: MlflowException: its version is gone"
    ]
    assert not result.success
    assert dict(query(data, DAYS_STORED).to_numpy()) == {"ETH": 5}
    rows = query(data, "SELECT DISTINCT symbol || '_' || trend AS member FROM realised_performance")
    assert "ETH_uptrend" not in set(rows["member"])
    assert {"all_all", "ETH_downtrend"} <= set(rows["member"])


# Failures are told by key, so of the tables that are cut in one way one stands for the others.
OF_EACH_KEY = tuple({KEYS[table][0]: table for table in sorted(TABLES)}.values())


@pytest.mark.parametrize(
    ("tables", "length"),
    [*(((table,), 40) for table in sorted(TABLES)), (OF_EACH_KEY, 0), (OF_EACH_KEY, -20)],
    ids=[*sorted(TABLES), "empty", "without its end"],
)
def test_of_a_file_cut_off_the_last_published_rows_stay(data, tables, length):
    """Whatever the table: it is named with the command that mends it, and the rest goes on."""
    stored = stored_pool(data)
    assert published().success
    before = {name: sorted_rows(data, name) for name in TABLES}
    files = [Path(stored.path(TABLES[table].store_name, KEYS[table][0])) for table in tables]
    for file in files:
        file.write_bytes(file.read_bytes()[:length])

    result = published()

    [failed] = [event for event in result.all_events if event.is_step_failure]
    said = str(failed.step_failure_data.error)
    for file in files:
        assert f"{file} cannot be read as Parquet" in said
    assert said.count("delete it, then run `crypto-pool") >= len(files)
    for name, rows in before.items():
        assert len(rows) == 2 or name not in tables
        assert sorted_rows(data, name) == rows, name


@pytest.mark.parametrize("length", [0, 40, -20])
def test_a_damaged_row_of_a_member_that_nobody_serves_goes(data, length):
    """The ledger says who serves: what else the table says is neither kept nor a fault."""
    store = stored_pool(data)
    row = stored_row(TABLES["champions"], MEMBERS[0], 0) | {"symbol": "BTC"}
    file = Path(store.write("champions", MEMBERS[0], TABLES["champions"].frame([row])))
    file.write_bytes(file.read_bytes()[:length])

    assert published().success

    assert not file.exists()
    rows = query(data, "SELECT symbol || '|' || trend AS member FROM champions")
    assert set(rows["member"]) == set(GONE)


@pytest.mark.parametrize(
    "silent", ["adapters.mlflow.versions.Versions.aliases", "defs.resources.ModelRegistry.prepare"]
)
def test_where_mlflow_does_not_answer_the_tables_are_published_and_the_run_says_so(
    data, monkeypatch, silent
):
    """Neither in part nor at all."""
    write_bars(data, "BTC", 5)

    def refuse(*_):
        raise ModelUnavailable("the store does not answer")

    monkeypatch.setattr(f"crypto_pool.{silent}", refuse)
    result = published(realised_performance)

    said = [
        str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure
    ]
    assert said
    assert all("the store does not answer" in one for one in said)
    assert dict(query(data, DAYS_STORED).to_numpy()) == {"BTC": 5}


def test_champions_on_other_terms_than_the_pool_s_say_so(data):
    store, table = FrameStore(str(data / "parquet")), TABLES["champions"]
    terms = {"time_period": "7", "series_type": "close", "target_pct": "0.05"}
    for member, told in zip(GONE, ({}, {"series_type": "high"}), strict=True):
        symbol, trend = member.split("|")
        row = table.row({"symbol": symbol, "trend": trend, "model_version": "1", **terms, **told})
        store.write("champions", member, table.frame([{**row, **told}]))

    assert published().success

    said = query(data, "SELECT symbol, fault FROM champions")
    assert dict(said.astype(object).where(said.notna(), None).to_numpy()) == {
        "XRPOLD": None,
        "LUNAOLD": "its terms are not the pool's: series_type was high and is close",
    }


def as_made_anew(data):
    """All rows and columns of the publication, which one made of nothing but the files repeats."""
    found = {name: sorted_rows(data, name) for name in TABLES}
    columns = query(
        data, "SELECT table_name, column_name, data_type, comment FROM duckdb_columns()"
    )
    (data / ".published.json").unlink()
    assert published().success
    assert {name: sorted_rows(data, name) for name in TABLES} == found
    again = query(data, "SELECT table_name, column_name, data_type, comment FROM duckdb_columns()")
    assert again.equals(columns)
    return found


def test_a_publication_that_goes_on_from_the_last_equals_one_made_anew(data):
    """After an old day was corrected, a day and a coin came, a file went, a feature came."""
    store = stored_pool(data)
    for symbol in ("ADA", "SOL", "DOT"):
        write_bars(data, symbol, 5)
    assert published().success
    before = as_made_anew(data)

    table = TABLES["predictions"]
    corrected = stored_row(table, DAYS[0], 0) | {"probability": 0.75}
    store.write(table.store_name, DAYS[0], table.frame([corrected]))
    bars = store.read("daily_bars", "ADA")
    store.write("daily_bars", "ADA", bars.assign(close=bars["close"] + 1))
    assert published().success
    after = as_made_anew(data)
    assert "0.75" in after["predictions"][0]
    assert before["predictions"][1] == after["predictions"][1]
    assert len(after["daily_bars"]) == len(before["daily_bars"])
    assert after["daily_bars"] != before["daily_bars"]

    write_bars(data, "SOL", 6)
    store.remove("daily_bars", "DOT")
    features = store.read("feature_table", "ETH")
    store.write("feature_table", "ETH", features.assign(mine=0.5))
    assert published().success
    found = as_made_anew(data)
    assert len(found["daily_bars"]) == len(after["daily_bars"]) + 1 - 5


@pytest.mark.parametrize("left", ["", "{", '{"of": 1}', None])
def test_where_what_the_last_one_was_made_of_is_not_known_all_is_published_anew(data, left):
    """Its note is lost or broken, or the file is another than it was: somebody wrote into it."""
    write_bars(data, "BTC", 5)
    write_bars(data, "ETH", 5)
    assert published().success
    if left is None:
        with duckdb.connect(str((data / LINK_NAME).resolve())) as scribble:
            scribble.execute("UPDATE daily_bars SET close = 0")
    else:
        (data / ".published.json").write_text(left)
    write_bars(data, "ETH", 6)
    assert published().success
    assert dict(query(data, DAYS_STORED).to_numpy()) == {"BTC": 5, "ETH": 6}
    assert query(data, "SELECT min(close) > 0 FROM daily_bars").iat[0, 0]


def test_rows_in_another_file_than_their_own_are_published_once(data):
    """What the last publication holds of a group is not what its file brought."""
    store, table = stored_pool(data), TABLES["predictions"]
    for day in ("2024-02-01", "2024-02-02", "2024-02-03"):
        row = stored_row(table, DAYS[0], 0) | {"prediction_date": date(2024, 5, 5), "symbol": day}
        store.write(table.store_name, day, table.frame([row]))
    assert published().success
    store.write(table.store_name, "2024-02-02", table.frame([row | {"symbol": "ADA"}]))
    assert published().success
    assert len(as_made_anew(data)["predictions"]) == 5
