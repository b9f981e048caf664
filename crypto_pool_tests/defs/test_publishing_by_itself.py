"""The DuckDB file follows what was made by hand, and asks for nothing that was published."""

import dagster as dg
import pytest

from crypto_pool.defs.assets.publication import FOLLOW


@dg.asset(key="champion", partitions_def=dg.StaticPartitionsDefinition(["BTC|uptrend"]))
def champion() -> None: ...


@dg.asset(key="daily_predictions")
def daily_predictions() -> None: ...


@dg.asset(key="prediction_outcomes")
def prediction_outcomes() -> None: ...


@dg.asset(key="daily_bars")
def daily_bars() -> None: ...


@dg.asset(
    deps=[
        dg.AssetDep(champion, partition_mapping=dg.AllPartitionMapping()),
        daily_predictions,
        prediction_outcomes,
        daily_bars,
    ],
    automation_condition=FOLLOW,
)
def prediction_tables() -> None: ...


DEFS = dg.Definitions(
    [champion, daily_predictions, prediction_outcomes, daily_bars, prediction_tables]
)


def make(instance, *assets):
    key = "BTC|uptrend" if champion in assets else None
    dg.materialize(assets, instance=instance, partition_key=key)


@pytest.mark.parametrize(
    ("runs", "asked"),
    [
        ([[champion]], 1),
        ([[daily_predictions]], 1),
        ([[daily_bars]], 0),
        ([[daily_predictions, prediction_tables]], 0),
        ([[champion], [prediction_tables]], 0),
        ([[prediction_tables], [champion]], 1),
        ([[champion], [prediction_tables], [daily_predictions]], 1),
    ],
)
def test_what_is_made_by_hand_is_published_and_nothing_twice(runs, asked):
    with dg.DagsterInstance.ephemeral() as instance:
        make(instance, daily_predictions, prediction_tables)
        tick = dg.evaluate_automation_conditions(DEFS, instance)
        for run in runs:
            make(instance, *run)
        tick = dg.evaluate_automation_conditions(DEFS, instance, cursor=tick.cursor)
        assert tick.total_requested == asked
        for _ in range(3):
            tick = dg.evaluate_automation_conditions(DEFS, instance, cursor=tick.cursor)
            assert tick.total_requested == 0


def test_what_is_made_as_a_publication_is_asked_for_or_fails_has_one_of_its_own():
    with dg.DagsterInstance.ephemeral() as instance:
        make(instance, daily_predictions, prediction_tables)
        tick = dg.evaluate_automation_conditions(DEFS, instance)
        for _ in range(3):
            make(instance, champion)
            tick = dg.evaluate_automation_conditions(DEFS, instance, cursor=tick.cursor)
            assert tick.total_requested == 1
        make(instance, prediction_tables)
        tick = dg.evaluate_automation_conditions(DEFS, instance, cursor=tick.cursor)
        assert tick.total_requested == 0
