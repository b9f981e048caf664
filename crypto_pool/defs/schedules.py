"""The daily run of the pool."""

import dagster as dg

from crypto_pool.defs.requests import ALL_ASSETS, day_requests, owed_days
from crypto_pool.defs.resources import PoolResource
from crypto_pool.settings import load_settings

_settings = load_settings()
_at = _settings.daily_time
DAILY = "daily_pool"


@dg.schedule(
    name=DAILY,
    job_name=ALL_ASSETS,
    cron_schedule=f"{_at.minute} {_at.hour} * * *",
    execution_timezone="UTC",
    default_status=(
        dg.DefaultScheduleStatus.RUNNING
        if _settings.automation_on
        else dg.DefaultScheduleStatus.STOPPED
    ),
    description="Pull the day that has closed, score what has matured, forecast, publish; days "
    "that were missed too, the oldest first.",
)
def daily_pool(
    context: dg.ScheduleEvaluationContext, pool: PoolResource
) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for what the pool owes."""
    last_closed = pool.settings.last_closed()
    plan = owed_days(pool, last_closed)
    if plan.is_empty:
        return dg.SkipReason(f"nothing is owed through {last_closed}")
    return day_requests(pool, plan, DAILY, last_closed.isoformat())


schedules = [daily_pool]
