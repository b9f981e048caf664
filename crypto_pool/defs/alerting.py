"""Who is told, and when: failed runs, an exhausted quota, quarantines, forecasts that are late."""

from datetime import UTC, date, datetime, timedelta
from functools import partial

import dagster as dg
from pydantic import SecretStr

from crypto_pool.adapters.alerts import Alerts
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.defs.assets.publication import prediction_tables
from crypto_pool.defs.batches import first_causes, reason_of, recorded_failures
from crypto_pool.defs.heartbeat import tell_failed, tell_published
from crypto_pool.defs.jobs import publish_tables
from crypto_pool.defs.requests import pending_days
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.run_tags import BAR_DATE_TAG
from crypto_pool.settings import Settings, load_settings
from crypto_pool.workflow import incidents
from crypto_pool.workflow.history import active_symbols
from crypto_pool.workflow.pulling import bar_spans

FORECAST_PATIENCE = timedelta(hours=6)
_settings = load_settings()
WATCHED = (
    dg.DefaultSensorStatus.RUNNING
    if _settings.automation_on or _settings.alert_webhook_url or _settings.heartbeat_url
    else dg.DefaultSensorStatus.STOPPED
)


def pool_alerts(settings: Settings) -> Alerts:
    """The alerts of a pool."""
    values = [getattr(settings, name) for name in Settings.model_fields]
    secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    url = settings.alert_webhook_url
    return Alerts(
        settings.state_dir / "alerts.json",
        None if url is None else url.get_secret_value(),
        secrets,
        settings.now,
    )


@dg.run_failure_sensor(
    name="alert_failed_runs",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Tells each failed run once, with its first causes.",
)
def alert_failed_runs(context: dg.RunFailureSensorContext) -> None:
    """Tell a run's failures by partition or, where none are on record, by step."""
    settings, run = load_settings(), context.dagster_run
    causes = first_causes(recorded_failures(context.instance, run.run_id))
    reasons = [str(failure) for failure in causes] or [
        f"{event.step_key}: {reason_of(event.step_failure_data.error)}"
        for event in context.get_step_failure_events()
    ]
    alerts = incidents.failed_run(
        run.run_id,
        run.job_name,
        run.tags.get(BAR_DATE_TAG, ""),
        reasons or [context.failure_event.message or ""],
        settings.now().astimezone(UTC).date(),
    )
    pool_alerts(settings).send(alerts)
    if run.job_name == publish_tables.name or prediction_tables.key in (run.asset_selection or ()):
        tell_failed(settings, settings.last_closed())


@dg.sensor(
    name="alert_incidents",
    minimum_interval_seconds=300,
    default_status=WATCHED,
    description="Tells quarantined champions, forecasts missing when they are due, coins without a "
    "new bar for a week, and the digest.",
)
def alert_incidents(pool: PoolResource) -> dg.SkipReason:
    """Look at the ledger and at what is pending."""
    settings, now = pool.settings, pool.now().astimezone(UTC)
    alerts = incidents.quarantines(Ledger(pool.store).by_member(), now)
    last_closed = settings.last_closed()
    pending = pending_days(pool, last_closed).forecast
    alerts += incidents.late_forecasts(
        pending, last_closed, partial(forecasts_due_at, settings), now
    )
    coins = active_symbols(pool.store, settings.symbols, last_closed)
    last_bars = {symbol: span.last for symbol, span in bar_spans(pool.store, coins).items()}
    alerts += incidents.silent_coins(last_bars, last_closed)
    if settings.alert_daily_digest and last_closed not in pending:
        alerts += incidents.daily_digest(pool.store, last_closed, settings.prediction_window_days)
    alerted = pool_alerts(settings).send(alerts)
    tell_published(settings)  # again, where its host was dead
    return dg.SkipReason("; ".join(alert.text for alert in alerted) or "nothing new to tell")


def forecasts_due_at(settings: Settings, bar_date: date) -> datetime:
    """When the forecasts of a bar date have to be there."""
    return settings.daily_run_of(bar_date) + FORECAST_PATIENCE


alert_sensors = [alert_failed_runs, alert_incidents]
