"""A champion is held to its outcomes: quarantined, replaced, or its predecessor back."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow.store import local_path
from crypto_pool.domain.members import Trend
from crypto_pool.domain.performance import Verdict, count_luck
from crypto_pool.domain.review import ReviewRules
from crypto_pool.domain.who_serves import Standing
from crypto_pool.workflow.forecasting import choose_forecaster, forecast
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.promotion.rolling_back import roll_back
from crypto_pool.workflow.reviewing import Outcomes, Reviewer, day_reached
from crypto_pool_tests.workflow.reviewed_pool import (
    BAD,
    GOOD,
    RULES,
    TODAY,
    observe,
    review,
    write_outcomes,
)
from crypto_pool_tests.workflow.small_pool import MEMBER, REFRESHED, SECOND, STAYS, noon_after


def predict(pool, bar_date, **options):
    chosen = choose_forecaster(pool.registry, pool.champion, pool.decisions, bar_date, pool.terms)
    frames = FrameCache(pool.store)
    return forecast(frames, pool.registry, chosen, bar_date, noon_after(bar_date), 7, **options)


def test_a_champion_worse_than_the_reference_abstains_until_another_takes_over(pool):
    write_outcomes(pool, "prediction_outcomes", "1", error=BAD)
    row = review(pool)
    assert row["action"] == "quarantine"
    assert pool.decisions["decision"].to_list() == ["promoted", "quarantined"]
    assert pool.serving == "1"

    silent = predict(pool, TODAY)
    assert silent["status"] == "abstain"
    assert "worse than the reference" in silent["abstain_reason"]
    assert predict(pool, TODAY - timedelta(days=2))["status"] == "active"
    assert "worse than the reference" in observe(pool, TODAY).quarantine

    taken_over = pool.appoint(SECOND, STAYS)
    assert taken_over.decision == "replaced"
    assert "quarantined" in taken_over.reason
    assert predict(pool, SECOND)["status"] == "active"
    assert observe(pool, SECOND).quarantine == ""


def test_a_member_is_reviewed_by_its_own_rows_alone(pool):
    """Not by those of a coin before or after it, of its other trend, or of another version."""
    write_outcomes(pool, "prediction_outcomes", "1", error=GOOD)
    whole = Outcomes.read(pool.store, Ledger(pool.store).by_member(), TODAY, RULES)
    others = [whole.served.assign(symbol=symbol) for symbol in ("A", "ZZZ")]
    others += [whole.served.assign(trend=trend) for trend in ("a", str(Trend.DOWNTREND), "z")]
    every = pd.concat([*others, whole.served], ignore_index=True)
    mine = Outcomes(every, every).of(MEMBER)
    for rows in (mine.served, mine.shadow):
        pd.testing.assert_frame_equal(rows.reset_index(drop=True), whole.served)
    wrong = whole.served.assign(probability=1 - whole.served["probability"])
    others = [wrong.assign(model_version=version) for version in ("0", "2")]
    reviewer = Reviewer(pool.store, pool.registry, ReviewRules(), TODAY, noon_after(TODAY), "r")
    served = pd.concat([*others, whole.served], ignore_index=True)
    row = reviewer.review(MEMBER, Outcomes(served, wrong.assign(model_version="0")), pool.decisions)
    assert (row["action"], row["record_rows"]) == ("keep", 200)


def test_a_review_for_an_older_day_uses_what_was_known_then(pool):
    """Else a day that is built again condemns by what nobody could know on it."""
    write_outcomes(pool, "prediction_outcomes", "1", error=BAD, days=120)
    row = review(pool, TODAY - timedelta(days=60))
    assert (row["action"], row["record_rows"], row["rows"]) == ("keep", 60, 60)
    assert review(pool, TODAY)["action"] == "quarantine"


def test_a_review_for_an_older_day_is_of_who_served_then_and_changes_nothing(pool):
    write_outcomes(pool, "prediction_outcomes", "1", error=BAD)
    pool.appoint(SECOND, REFRESHED)
    before = pool.decisions
    row = review(pool, TODAY)
    assert (row["model_version"], row["action"], row["record_rows"]) == ("1", "keep", 200)
    assert row["reason"].startswith("worse than the reference")
    assert row["reason"].endswith("; a later day has been decided on since")
    assert pool.decisions.equals(before)
    assert review(pool, TODAY - timedelta(days=100))["model_version"] is None


def test_the_same_rows_condemn_only_once(pool):
    write_outcomes(pool, "prediction_outcomes", "1", error=BAD)
    review(pool)
    again = review(pool)
    assert again["action"] == "keep"
    assert (again["record_rows"], again["rows"]) == (0, 200)  # the member's figures stand
    assert len(pool.decisions) == 2
    assert Standing.of(pool.decisions, noon_after(TODAY)).quarantine


def test_a_better_predecessor_serves_again_by_itself(pool):
    pool.appoint(SECOND, REFRESHED)
    assert pool.serving == "2"
    write_outcomes(pool, "prediction_outcomes", "2", error=BAD)
    write_outcomes(pool, "shadow_outcomes", "1", error=GOOD)
    row = review(pool, SECOND + timedelta(days=1))
    assert row["action"] == "roll back"
    assert pool.serving == "1"
    last = pool.decisions.iloc[-1]
    assert last["decision"] == "rolled back"
    assert "does better in shadow" in last["reason"]


@pytest.mark.parametrize("lost", ["version", "model"])
def test_a_bad_champion_is_quarantined_where_the_better_predecessor_cannot_return(pool, lost):
    pool.appoint(SECOND, REFRESHED)
    write_outcomes(pool, "prediction_outcomes", "2", error=BAD)
    write_outcomes(pool, "shadow_outcomes", "1", error=GOOD)
    if lost == "version":
        pool.registry.client.delete_model_version(f"{MEMBER.name}_model", "1")
    else:
        folder = local_path(pool.registry.versions.get(MEMBER.name, "1").location)
        (folder / "artifacts" / "calibration.json").write_bytes(b"")
    row = review(pool, SECOND + timedelta(days=1))
    assert row["action"] == "quarantine"
    assert "does better in shadow" in row["reason"]
    assert "and cannot return: " in pool.champion.standing.quarantine
    assert pool.serving == "2"


def test_a_version_that_a_rollback_left_does_not_return_by_itself(pool):
    pool.appoint(SECOND, REFRESHED)
    roll_back(pool.store, pool.registry, MEMBER, None, SECOND, noon_after(SECOND))
    later = SECOND + timedelta(days=200)
    write_outcomes(pool, "prediction_outcomes", "1", error=BAD, until=later)
    write_outcomes(pool, "shadow_outcomes", "2", error=GOOD, until=later)
    assert review(pool, later)["action"] == "quarantine"
    assert pool.serving == "1"


def test_a_good_champion_stays(pool):
    write_outcomes(pool, "prediction_outcomes", "1", error=GOOD)
    row = review(pool)
    assert row["action"] == "keep"
    assert row["skill_over_reference"] > 0.5
    assert len(pool.decisions) == 1
    promised = json.loads(pool.decisions["challenger_metrics"].iloc[0])["promised"]
    assert row["promised_precision"] == pytest.approx(promised["promised_precision"])
    assert (row["symbol"], row["trend"], row["model_version"]) == ("AAA", "uptrend", "1")
    assert (row["as_of"], row["window_days"]) == (TODAY, 365)


def test_all_members_together_are_reviewed_by_what_was_served(pool):
    write_outcomes(pool, "prediction_outcomes", "1", error=GOOD)
    outcomes = Outcomes.read(pool.store, Ledger(pool.store).by_member(), TODAY, RULES)
    reviewer = Reviewer(pool.store, pool.registry, ReviewRules(), TODAY, noon_after(TODAY), "r")
    member = reviewer.review(MEMBER, outcomes, pool.decisions)
    nothing = {**member, "rows": 0}
    row = reviewer.review_pool(outcomes, [member, nothing])
    assert (row["symbol"], row["trend"], row["model_version"]) == ("all", "all", None)
    assert (row["rows"], row["action"]) == (200, None)
    assert row["reason"] == count_luck([Verdict(member["verdict"])]).words
    without = replace(reviewer, measures=False).review(MEMBER, outcomes, pool.decisions)
    assert (without["rows"], without["record_rows"]) == (0, 200)
    assert member["rows"] == 200


def test_inputs_far_outside_the_training_span_abstain_if_the_setting_says_so(pool):
    features = pool.store.read("feature_table", MEMBER.symbol)
    features.loc[pd.Timestamp(TODAY), "MACD"] = 1e6
    pool.store.write("feature_table", MEMBER.symbol, features)
    row = predict(pool, TODAY, abstain_beyond_widths=2.0)
    assert row["status"] == "abstain"
    assert row["furthest_input"] == "MACD"
    assert row["abstain_reason"].startswith("MACD lies")
    assert predict(pool, TODAY)["status"] == "active"


@pytest.mark.parametrize(
    ("forecasts", "outcomes", "reached"),
    [
        ((), (), "2026-11-29"),
        (("2021-11-30",), ("2021-11-20",), "2021-11-30"),
        (("2021-11-30",), ("2021-11-25",), "2021-12-05"),  # forecasts ended, and bars went on
        (("2026-11-29",), ("2026-11-19",), "2026-11-29"),
        (("2026-11-30",), (), "2026-11-29"),
    ],
)
def test_a_pool_on_old_files_is_reviewed_as_of_the_day_it_has_reached(
    tmp_path, forecasts, outcomes, reached
):
    store = FrameStore(str(tmp_path))
    for table, days in (("daily_predictions", forecasts), ("prediction_outcomes", outcomes)):
        store.write(table, "2026-11-29", pd.DataFrame())  # it was tried, and there were no bars
        for day in days:
            row = {"prediction_date": date.fromisoformat(day), "symbol": "BTC", "trend": "uptrend"}
            store.write(table, day, pd.DataFrame([row | {"model_version": "1"}]))
    assert day_reached(store, date(2026, 11, 29), 10) == date.fromisoformat(reached)


def test_a_damaged_day_of_outcomes_is_named_and_the_others_are_reviewed(pool):
    write_outcomes(pool, "prediction_outcomes", "1", error=BAD)
    last = TODAY + timedelta(days=1)
    write_outcomes(pool, "prediction_outcomes", "1", error=BAD, days=1, until=last)
    day = f"{last - timedelta(days=10)}"
    file = Path(pool.store.path("prediction_outcomes", day))
    file.write_bytes(file.read_bytes()[:-20])
    outcomes = Outcomes.read(pool.store, Ledger(pool.store).by_member(), last, RULES)
    assert len(outcomes.served) == 200
    assert list(outcomes.faults) == [f"prediction_outcomes {day}"]
    assert "run `crypto-pool predict`" in outcomes.faults[f"prediction_outcomes {day}"]
