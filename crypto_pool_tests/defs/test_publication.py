"""What is published when a coin's file or a member cannot be read, by real runs."""

from pathlib import Path

import dagster as dg
import pytest

from crypto_pool.adapters.prediction_tables import LINK_NAME, query
from crypto_pool.defs.assets.outcomes import realised_performance
from crypto_pool.defs.assets.publication import prediction_tables
from crypto_pool.defs.batches import recorded_failures
from crypto_pool.defs.checks import ISOLATED, every_partition_processed
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.tables import TABLES
from crypto_pool.errors import ModelUnavailable
from crypto_pool.workflow import reviewing
from crypto_pool_tests.defs.published_pool import published
from crypto_pool_tests.workflow.stored_pool import (
    DAYS,
    DAYS_STORED,
    GONE,
    MEMBERS,
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


def test_a_review_by_the_clock_of_a_pool_on_old_files_outlasts_no_later_day_of_it(data):
    store = stored_pool(data)

    published(realised_performance)

    assert store.keys("realised_performance") == [*DAYS, "2022-01-12"]  # the last known outcome's


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
