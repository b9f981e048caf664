"""How late is too late: bars and forecasts are due each day, soon after the daily run."""

from datetime import date, datetime, time, timedelta

import dagster as dg

from crypto_pool.settings import load_settings

MARGIN = timedelta(hours=2)


def due_daily(at_utc: time) -> dg.FreshnessPolicy:
    """Fails when nothing was made between a time of the day and two hours after it."""
    deadline = datetime.combine(date.min, at_utc) + MARGIN
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"{deadline.minute} {deadline.hour} * * *", lower_bound_delta=MARGIN
    )


daily_freshness = due_daily(load_settings().daily_time)
