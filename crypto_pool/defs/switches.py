"""What somebody switched on or off by hand in Dagster, carried over from one schedule to others."""

from datetime import UTC, datetime

import dagster as dg
from dagster._core.remote_origin import RemoteInstigatorOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)

DAILY = "daily_pool"  # what the runs of all stages are asked by
BESIDE_DAILY = ("daily_features", "daily_outcomes", "daily_panel")


def follow_daily_pool(instance: dg.DagsterInstance) -> str:
    """Switch the other schedules of the daily run as `daily_pool` was, where nobody has yet.

    In 1.0.0 that one did the work of all. Gives what was done, in words, or nothing.
    """
    states = {
        state.instigator_name: state
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    }
    daily = states.get(DAILY)
    unswitched = [name for name in BESIDE_DAILY if name not in states]
    if daily is None or daily.status == InstigatorStatus.DECLARED_IN_CODE or not unswitched:
        return ""
    for name in unswitched:
        origin = RemoteInstigatorOrigin(daily.origin.repository_origin, name)
        begun = ScheduleInstigatorData("", datetime.now(UTC).timestamp())
        instance.add_instigator_state(
            InstigatorState(origin, InstigatorType.SCHEDULE, daily.status, begun)
        )
    how = "on" if daily.is_running else "off"
    return f"switched {how}, as the schedule {DAILY} is: {', '.join(unswitched)}"
