"""What became of a training that was asked for: asked is not done."""

import json
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import dagster as dg
import pytest

from crypto_pool.defs import sensors
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.sensors import retrain_stale
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.staleness import MemberState
from crypto_pool.settings import load_settings
from crypto_pool.workflow.pulling import BarSpan

BTC = Member.parse("BTC_uptrend")
BEGIN = datetime(2023, 5, 2, 9, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Sensor:
    """The sensor over one stale member, with an instance that keeps its runs."""

    def __init__(self, instance, monkeypatch) -> None:
        self.instance, self.patch, self.cursor = instance, monkeypatch, None

    def tick(self, moment):
        """Give the run that is asked for, or why none is."""
        self.patch.setenv("CRYPTO_POOL_SIMULATED_NOW", f"{moment:%Y-%m-%dT%H:%M}")
        load_settings.cache_clear()
        resources = {"pool": PoolResource(bar_date="", only=[])}
        context = dg.build_sensor_context(self.instance, cursor=self.cursor, resources=resources)
        told = retrain_stale.evaluate_tick(context)
        self.cursor = told.cursor or self.cursor
        return told.run_requests[0] if told.run_requests else told.skip_message

    def ends(self, request, status):
        """Let the daemon make the run, which ends so."""
        tags = {**request.tags, "dagster/run_key": request.run_key}
        run = dg.DagsterRun("train_members", run_id=str(uuid4()), status=status, tags=tags)
        self.instance.add_run(run)


@pytest.fixture
def sensor(tmp_path, monkeypatch):
    monkeypatch.setenv("CRYPTO_POOL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CRYPTO_POOL_SYMBOLS", "BTC")
    monkeypatch.setattr(sensors, "bar_spans", lambda *_: {"BTC": BarSpan(10**9, date.max)})
    states = [MemberState(Member("BTC", trend), trend != BTC.trend) for trend in Trend]
    monkeypatch.setattr(PoolResource, "observe", lambda *_: (states, {}))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Sensor(instance, monkeypatch)
    load_settings.cache_clear()


@pytest.mark.parametrize(
    "status", [dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE, None]
)
def test_a_training_that_came_to_nothing_is_asked_for_again_after_an_hour(sensor, status):
    """Cancelled, failed, or lost: nobody made a run of it, or its record is gone."""
    first = sensor.tick(BEGIN)
    assert first.run_config["resources"]["pool"]["config"]["only"] == [BTC.partition_key]
    if status is not None:
        sensor.ends(first, status)
    said = sensor.tick(BEGIN + HOUR - MINUTE)
    assert "BTC_uptrend (its training of 2023-05-01 did not succeed; asked for again" in said
    again = sensor.tick(BEGIN + HOUR)
    assert again.run_config == first.run_config
    assert again.run_key != first.run_key, "Dagster makes no second run of a key"
    sensor.ends(again, dg.DagsterRunStatus.CANCELED)
    assert sensor.tick(BEGIN + 2 * HOUR).run_key not in (first.run_key, again.run_key)


def test_a_training_that_was_done_is_not_asked_for_within_the_cooldown(sensor):
    first = sensor.tick(BEGIN)
    sensor.ends(first, dg.DagsterRunStatus.SUCCESS)
    assert "7 days must pass" in sensor.tick(BEGIN + 2 * HOUR)
    assert "7 days must pass" in sensor.tick(BEGIN + 6 * DAY)
    assert sensor.tick(BEGIN + 7 * DAY).run_key != first.run_key


def test_a_cancelled_run_that_was_executed_again_with_success_is_done(sensor):
    first = sensor.tick(BEGIN)
    sensor.ends(first, dg.DagsterRunStatus.CANCELED)
    sensor.ends(first, dg.DagsterRunStatus.SUCCESS)
    assert "7 days must pass" in sensor.tick(BEGIN + 2 * HOUR)


def test_a_cursor_that_a_hand_has_spoilt_is_begun_anew(sensor):
    naive = {"bar_date": "2023-05-01", "asked_at": "2023-05-01T09:00:00"}
    to_come = {"bar_date": "2099-05-01", "asked_at": "2099-05-01T09:00:00Z"}
    of_member = [json.dumps({BTC.partition_key: one}) for one in (3, naive, to_come, "2099-05-01")]
    for spoilt in ("spoilt", "[]", '{"BTC": "2023-05-01"}', *of_member):
        sensor.cursor = spoilt
        assert sensor.tick(BEGIN + DAY).run_key


def test_a_cursor_of_1_0_0_keeps_its_cooldown(sensor):
    sensor.cursor = json.dumps({BTC.partition_key: "2023-05-01"})
    assert "trained or asked for on 2023-05-01" in sensor.tick(BEGIN + DAY)
