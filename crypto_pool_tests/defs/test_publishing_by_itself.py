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


@pytest.mark.parametrize(
    ("made", "asked"),
    [
        ([champion], 1),
        ([daily_predictions], 1),
        ([daily_bars], 0),
        ([daily_predictions, prediction_tables], 0),
    ],
)
def test_what_is_made_by_hand_is_published_and_nothing_twice(made, asked):
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([daily_predictions, prediction_tables], instance=instance)
        before = dg.evaluate_automation_conditions(DEFS, instance)
        key = "BTC|uptrend" if champion in made else None
        dg.materialize(made, instance=instance, partition_key=key)
        after = dg.evaluate_automation_conditions(DEFS, instance, cursor=before.cursor)
        assert after.total_requested == asked
        again = dg.evaluate_automation_conditions(DEFS, instance, cursor=after.cursor)
        assert again.total_requested == 0
