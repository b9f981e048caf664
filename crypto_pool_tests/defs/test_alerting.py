"""Incidents are told once: to the log, and to a webhook that listens on loopback."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import pandas as pd
import pytest
from typer.testing import CliRunner

from crypto_pool.adapters.alerts import LONGEST_TEXT, Alert, Alerts
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
from crypto_pool.domain.market import Member
from crypto_pool.errors import ExitCode
from crypto_pool.settings import Settings, load_settings
from crypto_pool.workflow.incidents import daily_digest, failed_run, late_forecasts
from crypto_pool_tests.decisions import a_decision

NOW = datetime(2023, 6, 2, 12, tzinfo=UTC)
MEMBER = Member.parse("BTC|uptrend")


@dataclass
class Webhook:
    """What a webhook was sent, and the status it answers with."""

    url: str = ""
    status: int = 200
    texts: list[str] = field(default_factory=list)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    told = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if told.status == 200:
                told.texts.append(json.loads(body)["text"])
            self.send_response(told.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}/services/secret-path"
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def alerts(tmp_path, webhook) -> Alerts:
    return Alerts(tmp_path / "alerts.json", webhook.url, ["s3cr/et"], lambda: NOW)


def test_an_incident_is_told_once_in_the_log_and_to_the_webhook(alerts, webhook, caplog):
    assert alerts.tell([Alert("a", "first"), Alert("a", "again")]) == [Alert("a", "first")]
    assert alerts.tell([Alert("a", "first"), Alert("b", "second")]) == [Alert("b", "second")]
    assert webhook.texts == ["first", "second"]
    assert [record.getMessage() for record in caplog.records] == ["first", "second"]


def test_two_processes_know_of_each_other(alerts, tmp_path, webhook):
    alerts.tell([Alert("a", "first")])
    other = Alerts(tmp_path / "alerts.json", webhook.url, [], lambda: NOW)
    assert other.tell([Alert("a", "first")]) == []
    assert webhook.texts == ["first"]


@pytest.mark.parametrize("status", [500, 302])
def test_what_the_webhook_did_not_take_is_offered_again_and_logged_without_its_address(
    alerts, webhook, caplog, status
):
    webhook.status = status
    alerts.tell([Alert("a", "first")])
    assert webhook.texts == []
    assert f"did not take what was sent (status {status})" in caplog.text
    webhook.status = 200
    assert alerts.tell([]) == []
    alerts.tell([])
    assert webhook.texts == ["first"]
    assert "secret-path" not in caplog.text


def test_a_webhook_that_is_not_there_stops_nothing(tmp_path, caplog):
    gone = Alerts(tmp_path / "a.json", "http://127.0.0.1:9/secret-path", [], lambda: NOW)
    assert gone.tell([Alert("a", "first")]) == [Alert("a", "first")]
    assert "did not take what was sent (ConnectionError)" in caplog.text
    assert "secret-path" not in caplog.text


def test_secrets_are_redacted_everywhere_and_long_texts_cut(alerts, webhook, caplog, tmp_path):
    alerts.tell([Alert("a", f"s3cr/et s3cr%2Fet {webhook.url} https://x/?apikey=abc123&y <b>")])
    assert webhook.texts == ["*** *** *** https://x/?apikey=***&amp;y &lt;b&gt;"]
    for place in (caplog.text, (tmp_path / "alerts.json").read_text()):
        assert not any(word in place for word in ("s3cr", "secret-path", "abc123"))
    alerts.tell([Alert("b", "x" * (LONGEST_TEXT + 7))])
    assert webhook.texts[-1].endswith("x ... (7 characters more)")


def test_without_a_webhook_the_log_alone_is_told_and_none_comes_later(tmp_path, webhook, caplog):
    Alerts(tmp_path / "a.json", None, [], lambda: NOW).tell([Alert("a", "first")])
    assert "first" in caplog.text
    Alerts(tmp_path / "a.json", webhook.url, [], lambda: NOW).tell([])
    assert webhook.texts == []


def test_a_damaged_memory_is_put_aside(alerts, tmp_path, caplog):
    (tmp_path / "alerts.json").write_text("{")
    assert alerts.tell([Alert("a", "first")]) == [Alert("a", "first")]
    assert (tmp_path / "alerts.damaged").read_text() == "{"
    assert "is damaged and was moved" in caplog.text


def test_an_incident_is_remembered_for_half_a_year(alerts, tmp_path, webhook):
    alerts.tell([Alert("a", "first")])
    for age, told in ((timedelta(days=180), 0), (timedelta(days=180, seconds=1), 1)):
        later = Alerts(tmp_path / "alerts.json", webhook.url, [], lambda age=age: NOW + age)
        assert len(later.tell([Alert("a", "first")])) == told


def test_an_exhausted_quota_is_one_incident_a_day_whatever_runs_it_fails():
    quota = "daily_bars [BTC]: DailyQuotaExhausted: 25 requests used"
    other = "daily_bars [ETH]: NoData: no row"
    first = failed_run("r1", "job", "2023-06-01", [quota, other, other], NOW.date())
    second = failed_run("r2", "job", "", [quota], NOW.date())
    assert [alert.key for alert in first] == ["quota:2023-06-02", "run:r1"]
    assert first[1].text == f"job for 2023-06-01 failed (run r1):\n{other}"
    assert [alert.key for alert in second] == ["quota:2023-06-02"]


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
    assert (tried.exit_code, tried.output) == (0, "The webhook took it.\n")
    assert webhook.texts[-1].startswith("test of the alerts of the pool ")
    webhook.status = 500
    monkeypatch.setenv("CRYPTO_POOL_SIMULATED_NOW", (NOW + timedelta(minutes=1)).isoformat())
    assert run("--test").exit_code == ExitCode.PROVIDER
    (first, second) = json.loads(run("--json").output)
    assert (first["is_pending"], second["is_pending"]) == (False, True)
    monkeypatch.setenv("CRYPTO_POOL_ALERT_WEBHOOK_URL", "")
    assert "set CRYPTO_POOL_ALERT_WEBHOOK_URL" in str(run("--test").exception)


def test_the_digest_tells_the_signals_what_came_due_and_the_promise(tmp_path):
    store = FrameStore(str(tmp_path))
    day = date(2023, 6, 11)
    assert daily_digest(store, day, 10) == []
    members = {"symbol": ["BTC", "ETH"], "trend": ["uptrend", "uptrend"]}
    forecasts = pd.DataFrame({**members, "signal": [True, None], "probability": [0.71, 0.4]})
    store.write("daily_predictions", "2023-06-11", forecasts)
    outcomes = pd.DataFrame({**members, "signal": [True, True], "outcome": [1.0, 0.0]})
    store.write("prediction_outcomes", "2023-06-01", outcomes)
    review = {"symbol": "all", "trend": "all", "precision": 0.6, "precision_low": 0.5}
    review |= {"precision_high": 0.7, "promised_precision": 0.72}
    store.write("realised_performance", "2023-06-11", pd.DataFrame([review]))
    (told,) = daily_digest(store, day, 10)
    assert told.text == (
        "2023-06-11: 1 signals of 2 members: BTC_uptrend 0.71; of 2023-06-01, 1 of 2 signals came "
        "true; precision so far 0.60 (0.50 to 0.70), promised 0.72: not kept"
    )
