"""A daily forecast: by whom, and what it rests on."""

import json
from dataclasses import replace
from datetime import UTC, date, timedelta

import pandas as pd
import pytest

from crypto_pool.domain.training import prediction_input
from crypto_pool.errors import MissingFeatures
from crypto_pool.workflow.forecasting import (
    ServingVersion,
    choose_forecaster,
    forecast,
    score_predictions,
    was_trained_by,
)
from crypto_pool.workflow.frames import FrameCache
from crypto_pool_tests.workflow.small_pool import FIRST, MEMBER, REFRESHED, SECOND, noon_after


def choose(pool, bar_date):
    return choose_forecaster(pool.registry, pool.champion, pool.decisions, bar_date, pool.terms)


def predict(pool, bar_date):
    chosen = choose(pool, bar_date)
    if chosen is None:  # its inputs are asked for all the same
        chosen = ServingVersion(MEMBER, pool.champion.version)
    frames = FrameCache(pool.store)
    return forecast(frames, pool.registry, chosen, bar_date, noon_after(bar_date), 7)


def test_a_past_day_is_forecast_by_the_version_that_served_then(pool):
    pool.appoint(SECOND, REFRESHED)
    assert pool.serving == "2"
    then = predict(pool, date(2022, 7, 1))
    assert (then["model_version"], then["status"]) == ("1", "active")
    now = predict(pool, SECOND)
    assert (now["model_version"], now["status"]) == ("2", "active")
    assert not then["late"]
    assert not now["late"]


def test_a_day_before_anybody_served_is_not_forecast_by_what_came_later(pool):
    """A version trained on no later bar may, and is late."""
    pool.appoint(SECOND, REFRESHED)
    assert choose(pool, date(2022, 5, 1)) is None
    nobody = pd.DataFrame()
    chosen = choose_forecaster(pool.registry, pool.champion, nobody, SECOND, pool.terms)
    now = noon_after(SECOND) + timedelta(days=400)
    row = forecast(FrameCache(pool.store), pool.registry, chosen, SECOND, now, 7)
    assert (row["model_version"], row["status"], row["late"]) == ("2", "active", True)
    assert (
        choose_forecaster(
            pool.registry, replace(pool.champion, version=None), nobody, SECOND, pool.terms
        )
        is None
    )


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


def test_below_120_bars_no_version_forecasts_either(pool):
    """As after a restart of the coin's history: what serves it knew more bars."""
    bars = pool.store.read("daily_bars", "AAA").loc[: pd.Timestamp(SECOND)]
    pool.store.write("daily_bars", "AAA", bars.tail(120))
    assert predict(pool, SECOND)["status"] == "active"
    pool.store.write("daily_bars", "AAA", bars.tail(119))
    with pytest.raises(MissingFeatures, match="on 2022-08-21 there will be enough"):
        predict(pool, SECOND)


def test_a_version_is_as_old_as_the_pool_s_clock_says(pool):
    """The simulated pool lives in 2022; by MLflow's own clock every version would be late."""
    champion = pool.champion.version
    assert champion.registered_at_utc == noon_after(FIRST)
    assert champion.registered_at_utc.tzinfo == UTC
    assert was_trained_by(champion, FIRST)
    assert not was_trained_by(champion, FIRST - timedelta(days=1))
    pool.appoint(FIRST)
    row = pool.store.read("champions", MEMBER.partition_key).iloc[0]
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
    tags = pool.champion.version.tags
    trained_on = date.fromisoformat(tags["trained_through"]) + timedelta(days=10)
    assert trained_on == FIRST
    assert not predict(pool, FIRST)["in_sample"], "made before anything of its label is known"
    assert predict(pool, FIRST - timedelta(days=1))["in_sample"]


def test_a_day_the_version_was_chosen_on_is_in_sample(pool):
    champion = pool.champion.version
    version = replace(champion, tags={**champion.tags, "chosen_through": "2022-07-01"})
    chosen, frames = ServingVersion(MEMBER, version), FrameCache(pool.store)
    first_unknown = date(2022, 7, 11)
    for day, is_known in ((first_unknown - timedelta(days=1), True), (first_unknown, False)):
        row = forecast(frames, pool.registry, chosen, day, noon_after(day), 7)
        assert row["in_sample"] == is_known


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_served_probability_is_that_of_the_registered_model(pool, version):
    pool.appoint(SECOND, REFRESHED)
    day = date(2022, 7, 1) if version == "1" else SECOND
    row = predict(pool, day)
    assert row["model_version"] == version
    features = pool.store.read("feature_table", MEMBER.symbol).loc[[pd.Timestamp(day)]]
    given = prediction_input(features, pd.Series([row["reference_probability"]], features.index))
    expected = pool.registry.versions.load(MEMBER.name, version).predict_probability(given)[0]
    assert row["probability"] == pytest.approx(expected)
    assert row["signal"] == (row["probability"] > row["decision_threshold"])


def test_a_signal_is_a_probability_above_the_threshold_and_not_one_at_it(pool):
    row, champion, frames = predict(pool, SECOND), pool.champion.version, FrameCache(pool.store)
    for away, signal in ((-0.01, True), (0.0, False), (0.01, False)):
        tags = {**champion.tags, "decision_threshold": repr(row["probability"] + away)}
        chosen = ServingVersion(MEMBER, replace(champion, tags=tags))
        made = forecast(frames, pool.registry, chosen, SECOND, noon_after(SECOND), 7, most=0)
        assert (made["signal"], json.loads(made["top_contributions"])) == (signal, [])
        chosen = replace(chosen, fault="in quarantine")
        made = forecast(frames, pool.registry, chosen, SECOND, noon_after(SECOND), 7, most=0)
        assert (made["signal"], made["abstain_reason"]) == (False, "in quarantine")


def test_an_outcome_at_the_edge_of_the_panels_range_lies_inside_it(pool):
    row, key = predict(pool, FIRST), (pd.Timestamp(FIRST), MEMBER.symbol)

    def score(low, high):
        ranges = {"change_10_pct": low, "change_90_pct": high, "target": row["target"]}
        index = pd.MultiIndex.from_tuples([key])
        panel = pd.DataFrame({**ranges, "prediction_window_days": 10}, index=index)
        frames, made = FrameCache(pool.store), pd.DataFrame([row])
        [scored], faults = score_predictions(frames, made, noon_after(SECOND), panel)
        assert faults == {}
        return scored

    change = score(-0.9, 0.9)["change_pct"]
    for low, high, inside in (
        (change, change, True),
        (change - 0.01, change + 0.01, True),
        (change - 0.02, change - 0.01, False),
        (change + 0.01, change + 0.02, False),
    ):
        assert score(low, high)["inside_range"] is inside
