"""The daily run of the pool: a schedule for each of its stages, a minute after the one before."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from crypto_pool.defs.requests import (
    FEATURES,
    FORECASTS,
    JOBS,
    OUTCOMES,
    TABLES,
    day_requests,
    owed_days,
)
from crypto_pool.defs.resources import PoolResource
from crypto_pool.settings import load_settings

DAILY = "daily_pool"  # what the runs of all stages are asked by
_settings = load_settings()


def _daily(
    name: str, minutes: int, stages: tuple[str, ...], description: str
) -> dg.ScheduleDefinition:
    """Return the schedule of some stages of a day, which one job runs.

    Its runs are queued behind those of the schedules before it, and the queue takes one at a time.
    """
    at = datetime.combine(datetime.min, _settings.daily_time, UTC) + timedelta(minutes=minutes)

    @dg.schedule(
        name=name,
        job=JOBS[stages[0]],
        cron_schedule=f"{at.minute} {at.hour} * * *",
        execution_timezone="UTC",
        default_status=(
            dg.DefaultScheduleStatus.RUNNING
            if _settings.automation_on
            else dg.DefaultScheduleStatus.STOPPED
        ),
        description=description,
    )
    def ask(
        context: dg.ScheduleEvaluationContext, pool: PoolResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        last_closed = pool.settings.last_closed()
        plan = owed_days(pool, last_closed)
        asked = day_requests(pool, plan, DAILY, last_closed.isoformat())
        wanted = [one for one in asked if str(one.run_key).rpartition(":")[2] in stages]
        return wanted or dg.SkipReason(f"nothing of this is owed through {last_closed}")

    return ask


schedules = [
    _daily("daily_features", 0, (FEATURES,), "Pull the coins that are behind the day that closed."),
    _daily("daily_outcomes", 1, (OUTCOMES,), "Score what has matured, and review the champions."),
    _daily(
        DAILY,
        2,
        (FORECASTS, TABLES),
        "Forecast the day that has closed and publish; days that were missed too, the oldest "
        "first.",
    ),
]
