"""The daily run of the pool: a schedule for each of its stages, and one for the panel in MLflow."""

from datetime import timedelta

import dagster as dg

from crypto_pool.defs.jobs import log_panel
from crypto_pool.defs.requests import day_requests, pending_days
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.stages import FEATURES, OUTCOMES, PREDICTIONS, PUBLICATION, Stage
from crypto_pool.defs.switches import DAILY
from crypto_pool.settings import load_settings

_settings = load_settings()
STATUS = dg.DefaultScheduleStatus("RUNNING" if _settings.automation_on else "STOPPED")


def _daily(
    name: str, minutes: int, stages: tuple[Stage, ...], description: str
) -> dg.ScheduleDefinition:
    """Return the schedule of some stages of a day, which one job runs.

    Its runs are queued behind those of the schedules before it, and the queue takes one at a time.
    """

    @dg.schedule(
        name=name,
        job_name=stages[0].job,
        cron_schedule=_settings.daily_cron(timedelta(minutes=minutes)),
        execution_timezone="UTC",
        default_status=STATUS,
        description=description,
    )
    def ask(
        context: dg.ScheduleEvaluationContext, pool: PoolResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        last_closed = pool.settings.last_closed()
        plan = pending_days(pool, last_closed)
        requests = day_requests(pool, plan, DAILY, last_closed.isoformat())
        keys = {stage.key for stage in stages}
        wanted = [one for one in requests if str(one.run_key).rpartition(":")[2] in keys]
        return wanted or dg.SkipReason(f"nothing of this is pending through {last_closed}")

    return ask


schedules = [
    _daily("daily_features", 0, (FEATURES,), "Pull the coins that are behind the day that closed."),
    _daily("daily_outcomes", 1, (OUTCOMES,), "Score what has matured, and review the champions."),
    _daily(
        DAILY,
        2,
        (PREDICTIONS, PUBLICATION),
        "Forecast the day that has closed and publish; days that were missed too, the oldest "
        "first.",
    ),
    dg.ScheduleDefinition(
        name="daily_panel",
        job=log_panel,
        cron_schedule=_settings.daily_cron(timedelta(minutes=30)),
        execution_timezone="UTC",
        default_status=STATUS,
        description="Give MLflow the panel's fits that it lacks, after the day's forecasts.",
    ),
]
