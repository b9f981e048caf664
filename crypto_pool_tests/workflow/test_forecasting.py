"""A daily forecast: by whom, and what it rests on."""

import json
from dataclasses import replace
from datetime import UTC, date, timedelta

import pandas as pd
import pytest

from crypto_pool.domain.training import prediction_input
from crypto_pool.errors import MissingFeatures
from crypto_pool.workflow.forecasting import (
    Forecaster,
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


@pytest.mark.parametrize(
    ("day", "way_out"),
    [
        (date(2023, 1, 15), "its bars end 2022-12-31: use --date 2022-12-31"),
        (date(2010, 1, 1), r"its rows run from .* to 2022-12-31\. Materialise"),
    ],
)
def test_a_day_without_a_feature_row_names_the_one_to_ask_for(pool, day, way_out):
    said = f"AAA_uptrend has no feature row for {day}; {way_out}"
    with pytest.raises(MissingFeatures, match=said):
        predict(pool, day)


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


def test_a_day_whose_label_the_version_knew_is_in_sample(pool):
    tags = pool.registry.champion(MEMBER.name).tags
    last = date.fromisoformat(tags["trained_through"]) + timedelta(days=10)
    assert predict(pool, last)["in_sample"]
    assert not predict(pool, last + timedelta(days=1))["in_sample"]


def test_a_day_the_version_was_chosen_on_is_in_sample(pool):
    champion = pool.registry.champion(MEMBER.name)
    version = replace(champion, tags={**champion.tags, "chosen_through": "2022-07-01"})
    chosen, frames = Forecaster(MEMBER, version, was_in_time=True), SymbolFrames(pool.store)
    last = date(2022, 7, 1)
    for day, is_known in ((last, True), (last + timedelta(days=1), False)):
        row = forecast(frames, pool.registry, chosen, day, noon_after(day), 7)
        assert row["in_sample"] == is_known


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_served_probability_is_that_of_the_registered_model(pool, version):
    pool.appoint(SECOND, EXPIRES)
    day = date(2022, 7, 1) if version == "1" else SECOND
    row = predict(pool, day)
    assert row["model_version"] == version
    features = pool.store.read("feature_table", MEMBER.symbol).loc[[pd.Timestamp(day)]]
    given = prediction_input(features, pd.Series([row["reference_probability"]], features.index))
    expected = pool.registry.load(MEMBER.name, version).predict_probability(given)[0]
    assert row["probability"] == pytest.approx(expected)
    assert row["signal"] == (row["probability"] > row["decision_threshold"])
