"""A daily forecast: by whom, and what it rests on."""

import json
from datetime import UTC, date, timedelta

import pytest

from crypto_pool.workflow.forecasting import (
    SymbolFrames,
    choose_forecaster,
    forecast,
    was_registered_in_time,
)
from crypto_pool_tests.workflow.small_pool import EXPIRES, FIRST, MEMBER, SECOND, noon_after


def predict(pool, bar_date):
    champion = pool.registry.champion(MEMBER.name)
    chosen = choose_forecaster(pool.registry, MEMBER, champion, pool.decisions, bar_date)
    frames = SymbolFrames(pool.store)
    return forecast(frames, pool.registry, chosen, bar_date, noon_after(bar_date), 7)


def test_a_past_day_is_forecast_by_the_version_that_served_then(pool):
    pool.appoint(SECOND, EXPIRES)
    assert pool.serving == "2"
    then = predict(pool, date(2022, 7, 1))
    assert (then["model_version"], then["status"]) == ("1", "active")
    now = predict(pool, SECOND)
    assert (now["model_version"], now["status"]) == ("2", "active")
    before = predict(pool, date(2022, 5, 1))
    assert (before["model_version"], before["status"]) == ("2", "late")


def test_a_version_is_as_old_as_the_pool_s_clock_says(pool):
    """The simulated pool lives in 2022; by MLflow's own clock every version would be late."""
    champion = pool.registry.champion(MEMBER.name)
    assert champion.registered_at_utc == noon_after(FIRST)
    assert champion.registered_at_utc.tzinfo == UTC
    assert was_registered_in_time(champion, FIRST)
    assert not was_registered_in_time(champion, FIRST - timedelta(days=1))
    row = pool.appoint(FIRST).row
    assert row["registered_at_utc"].to_pydatetime() == noon_after(FIRST).replace(tzinfo=None)


def test_a_forecast_carries_its_three_largest_contributions(pool):
    row = predict(pool, SECOND)
    contributions = json.loads(row["top_contributions"])
    names = {*json.loads(row["features"]), "reference_logit"}
    assert len(contributions) == 3
    assert {entry["feature"] for entry in contributions} <= names
    sizes = [abs(entry["contribution"]) for entry in contributions]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_served_probability_is_that_of_the_registered_model(pool, version):
    pool.appoint(SECOND, EXPIRES)
    day = date(2022, 7, 1) if version == "1" else SECOND
    row = predict(pool, day)
    assert row["model_version"] == version
    assert 0 < row["probability"] < 1
    assert row["signal"] == (row["probability"] > row["decision_threshold"])
