"""Failed runs, late forecasts and quarantines are told once by the pool's sensors."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial

import dagster as dg
import pandas as pd
import pytest
from typer.testing import CliRunner

from crypto_pool.adapters.alerts import CHANNELS, AlertChannel
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger, Promotion
from crypto_pool.cli import app
from crypto_pool.defs.alerting import (
    alert_failed_runs,
    alert_incidents,
    forecasts_due_at,
    pool_alerts,
)
from crypto_pool.defs.batches import FAILURE
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.members import Member
from crypto_pool.errors import ExitCode
from crypto_pool.settings import Settings, load_settings
from crypto_pool.workflow.incidents import late_forecasts
from crypto_pool_tests.decisions import a_decision
from crypto_pool_tests.webhook import webhook

__all__ = ["webhook"]
NOW = datetime(2023, 6, 2, 12, tzinfo=UTC)
MEMBER = Member.parse("BTC|uptrend")


def test_forecasts_are_late_only_after_they_were_due():
    day = date(2023, 6, 1)
    due_at = partial(forecasts_due_at, Settings(daily_at_utc="00:20"))
    due = due_at(day)
    assert due == datetime(2023, 6, 2, 6, 20, tzinfo=UTC)
    assert late_forecasts({day: ["BTC_uptrend"]}, day, due_at, due - timedelta(minutes=1)) == []
    assert late_forecasts({date(2023, 5, 30): ["BTC_uptrend"]}, day, due_at, due) == []
    (alert,) = late_forecasts({day: ["BTC_uptrend"]}, day, due_at, due)
    assert "forecasts of 2023-06-01 are missing for BTC_uptrend" in alert.text


@pytest.mark.parametrize(
    ("daily_at_utc", "due"),
    [("18:00", "2023-06-03T00:00"), ("23:00", "2023-06-03T05:00")],
)
def test_forecasts_of_a_late_daily_run_fall_due_after_midnight(daily_at_utc, due):
    """By then another day has closed, whose own forecasts are not due yet."""
    day, last_closed = date(2023, 6, 1), date(2023, 6, 2)
    settings = Settings(daily_at_utc=daily_at_utc)
    due_at = partial(forecasts_due_at, settings)
    moment = datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert due_at(day) == moment
    (alert,) = late_forecasts(
        {one: ["BTC_uptrend"] for one in (day, last_closed)}, last_closed, due_at, moment
    )
    assert alert.key == "late forecast:2023-06-01"


@pytest.fixture
def settings(tmp_path, webhook, monkeypatch) -> Iterator[Settings]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("CRYPTO_POOL_SYMBOLS", "BTC")
    monkeypatch.setenv("CRYPTO_POOL_SIMULATED_NOW", NOW.isoformat())
    monkeypatch.setenv("CRYPTO_POOL_ALERT_WEBHOOK_URL", webhook.url)
    monkeypatch.setenv("CRYPTO_POOL_ALPHA_VANTAGE_API_KEY", "THEKEY")
    load_settings.cache_clear()
    yield load_settings()
    load_settings.cache_clear()


@dg.op
def broken(context: dg.OpExecutionContext) -> None:
    """Fail with a cause that holds a secret."""
    try:
        raise ValueError("no answer from https://x/?apikey=THEKEY and THEKEY")
    except ValueError as fault:
        raise RuntimeError("the step failed") from fault


@dg.op
def partly_broken(context: dg.OpExecutionContext) -> None:
    """Put a failed partition on record, then fail."""
    metadata = {FAILURE: "DailyQuotaExhausted: 25 requests used"}
    observation = dg.AssetObservation("daily_bars", partition="BTC", metadata=metadata)
    context.log_event(observation)
    raise RuntimeError("1 failed")


def evaluate_failure(op: dg.OpDefinition) -> None:
    """Let a real run fail in a real instance, and the sensor see it."""

    @dg.job(name=f"{op.name}_job")
    def job() -> None:
        op()

    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="alert_failed_runs",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        ).for_run_failure()
        alert_failed_runs(context)
        alert_failed_runs(context)


def test_a_failed_run_is_told_with_its_cause_and_without_the_key(settings, webhook):
    evaluate_failure(broken)
    (text,) = webhook.texts
    assert text.startswith("broken_job failed (run ")
    assert "broken: ValueError: no answer from https://x/?apikey=*** and ***" in text


def test_a_quota_that_fails_a_run_is_told_as_what_it_is(settings, webhook):
    evaluate_failure(partly_broken)
    assert webhook.texts == [
        "the provider's quota of 2023-06-02 is used up: "
        "daily_bars [BTC]: DailyQuotaExhausted: 25 requests used"
    ]


def quarantined(decided: datetime) -> Promotion:
    reason = "worse than the reference"
    return a_decision(MEMBER, decided, decision="quarantined", reason=reason)


def test_the_watch_tells_a_quarantine_and_a_missing_forecast_once(settings, webhook):
    pool = PoolResource(bar_date="", only=[])
    ledger = Ledger(pool.store)
    ledger.record(a_decision(MEMBER, NOW - timedelta(days=90)))
    ledger.record(quarantined(NOW - timedelta(days=60)))
    ledger.record(quarantined(NOW - timedelta(days=1)))

    def look() -> None:
        with dg.build_sensor_context(resources={"pool": pool}) as context:
            alert_incidents(context)

    rows = pd.DataFrame(
        {"symbol": "BTC", "trend": ["downtrend", "uptrend"], "prediction_window_days": 10}
    )
    forecasts = FrameStore(settings.frames_root)
    forecasts.write("daily_predictions", "2023-05-31", rows)
    look()
    look()
    assert webhook.texts == [
        "BTC_uptrend: version 1 is quarantined: worse than the reference",
        "forecasts of 2023-06-01 are missing for BTC_downtrend, BTC_uptrend, due at 2023-06-02 "
        "06:20 UTC; the latest runs in the Dagster UI say why, `crypto-pool predict` makes them",
    ]
    forecasts.write("daily_predictions", "2023-06-01", rows)
    look()
    assert len(webhook.texts) == 2


def test_every_secret_of_the_settings_is_redacted(settings):
    assert pool_alerts(settings).redact("THEKEY at http") == "*** at http"


def test_the_command_shows_what_was_told_and_tries_the_webhook(settings, webhook, monkeypatch):
    def run(*options):
        load_settings.cache_clear()
        return CliRunner().invoke(app, ["alert", *options])

    tried = run("--test")
    assert (tried.exit_code, tried.output) == (0, "Every channel took it.\n")
    assert webhook.texts[-1].startswith("test of the alerts of the pool ")
    webhook.status = 500
    monkeypatch.setenv("CRYPTO_POOL_SIMULATED_NOW", (NOW + timedelta(minutes=1)).isoformat())
    assert run("--test").exit_code == ExitCode.PROVIDER
    (first, second) = json.loads(run("--json").output)
    assert (first["is_pending"], second["is_pending"]) == (False, True)
    monkeypatch.setenv("CRYPTO_POOL_ALERT_WEBHOOK_URL", "")
    assert "set CRYPTO_POOL_ALERT_WEBHOOK_URL" in str(run("--test").exception)
    told = []
    monkeypatch.setitem(CHANNELS, "mine", AlertChannel("mine", told.append))
    monkeypatch.setenv("CRYPTO_POOL_SIMULATED_NOW", (NOW + timedelta(minutes=2)).isoformat())
    assert run("--test").output == "Every channel took it.\n"
    assert told[-1].startswith("test of the alerts of the pool ")
