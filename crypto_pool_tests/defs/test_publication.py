"""What is published when a coin's file or a member cannot be read, by real runs."""

from pathlib import Path

import dagster as dg
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import LINK_NAME, query
from crypto_pool.defs.assets.outcomes import realised_performance
from crypto_pool.defs.assets.publication import prediction_tables
from crypto_pool.defs.batches import recorded_failures
from crypto_pool.defs.checks import ISOLATED, every_partition_processed
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.tables import TABLES
from crypto_pool.errors import ModelUnavailable
from crypto_pool.workflow import reviewing
from crypto_pool_tests.defs.published_pool import (
    BY_COIN,
    DAYS_STORED,
    GONE,
    KEYS,
    MEMBERS,
    published,
    sorted_rows,
    stored_pool,
    stored_row,
    write_bars,
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


def test_rows_copied_into_another_file_and_folders_stop_nothing_else(data):
    """Of every table, and of what is published; each is named, and the next goes on from there."""
    stored = stored_pool(data)
    assert published().success
    before = {name: sorted_rows(data, name) for name in TABLES}
    tables = [table for table in TABLES.values() if {*table.partitioned_by} <= {*table.key}]
    tables = [table for table in tables if table.name not in BY_COIN]
    for table in tables:
        one, other = (Path(stored.path(table.store_name, key)) for key in KEYS[table.name])
        other.write_bytes(one.read_bytes())
    (data / LINK_NAME).unlink()
    names = (LINK_NAME, ".published.json", "crypto_pool-1.duckdb")
    for name in names:
        (data / name).unlink(missing_ok=True)
        (data / name / "mine").mkdir(parents=True)

    result = published()

    [failed] = [event for event in result.all_events if event.is_step_failure]
    said = str(failed.step_failure_data.error)
    assert said.count("it has rows of") == len({KEYS[table.name][1] for table in tables}) == 3
    assert said.count("a folder stood in its place") == len(names)
    assert len(list(data.glob("aside-*/mine"))) == len(names)
    for name, rows in before.items():
        there = sorted_rows(data, name)
        assert there == rows if name not in [one.name for one in tables] else set(there) <= {*rows}
        assert there


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
