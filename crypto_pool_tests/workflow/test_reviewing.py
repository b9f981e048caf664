"""A champion is held to its outcomes: quarantined, replaced, or its predecessor back."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow.runs import HASHES_TAG
from crypto_pool.adapters.mlflow.version import model_name
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.performance import Verdict, count_luck
from crypto_pool.domain.recipe import Recipe, Target
from crypto_pool.domain.review import ReviewRules
from crypto_pool.domain.standing import Standing
from crypto_pool.workflow import monitoring
from crypto_pool.workflow.forecasting import choose_forecaster, forecast
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.monitoring import observe_members
from crypto_pool.workflow.promotion.rolling_back import roll_back
from crypto_pool.workflow.reviewing import Outcomes, Reviewer
from crypto_pool_tests.decisions import a_decision
from crypto_pool_tests.stored_days import write_days
from crypto_pool_tests.workflow.small_pool import MEMBER, REFRESHED, SECOND, STAYS, noon_after

TODAY = SECOND - timedelta(days=1)
BAD, GOOD = 0.9, 0.1
OTHER = Member(MEMBER.symbol, Trend.DOWNTREND)


def write_outcomes(pool, table, version, *, error, days=200, until=TODAY):
    """Matured live rows, each as far from what happened as `error`."""
    dates = pd.date_range(end=until, periods=days)
    outcome = (np.arange(days) // 7 % 3 == 0).astype(float)
    rows = pd.DataFrame(
        {
            "prediction_date": dates.date,
            "symbol": MEMBER.symbol,
            "trend": str(MEMBER.trend),
            "probability": np.abs(outcome - error),
            "signal": outcome == 0,
            "reference_probability": 1 / 3,
            "outcome": outcome,
            "status": "active",
            "late": False,
            "in_sample": False,
            "model_version": version,
        }
    )
    write_days(pool.store, table, rows)


def review(pool, as_of=TODAY):
    outcomes = Outcomes.read(pool.store, Ledger(pool.store).by_member(), as_of, 240)
    reviewer = Reviewer(
        pool.store, pool.registry, ReviewRules(), as_of, noon_after(as_of), "review"
    )
    return reviewer.review(MEMBER, outcomes, pool.decisions)


def predict(pool, bar_date, **options):
    chosen = choose_forecaster(pool.registry, pool.champion, pool.decisions, bar_date, pool.terms)
    frames = FrameCache(pool.store)
    return forecast(frames, pool.registry, chosen, bar_date, noon_after(bar_date), 7, **options)


def observe(pool, as_of):
    states, faults = observe_members(
        pool.store, pool.registry, [MEMBER], Recipe(), 240, as_of, noon_after(as_of)
    )
    assert faults == {}
    return states[0]


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
    whole = Outcomes.read(pool.store, Ledger(pool.store).by_member(), TODAY, 240)
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
    outcomes = Outcomes.read(pool.store, Ledger(pool.store).by_member(), TODAY, 240)
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


def test_a_fresh_member_is_observed_as_such(pool):
    state = observe(pool, date(2022, 7, 1))
    assert state.has_champion
    assert state.trained_as_of == date(2022, 6, 1)
    assert state.new_labelled_rows == 30
    assert state.fault == ""
    assert not state.code_changed
    changed = Recipe(Target(pct=0.1))
    states, _ = observe_members(
        pool.store, pool.registry, [MEMBER], changed, 240, TODAY, noon_after(TODAY)
    )
    assert "target_pct was 0.05 and is 0.1" in states[0].fault


def test_a_member_that_was_never_trained_has_no_champion_and_no_new_rows(pool):
    states, faults = observe_members(
        pool.store, pool.registry, [OTHER], Recipe(), 240, TODAY, noon_after(TODAY)
    )
    [state] = states
    assert faults == {}
    assert (state.has_champion, state.trained_as_of, state.code_changed) == (False, None, False)
    assert (state.new_labelled_rows, state.drift, state.fault) == (0, None, "")


def test_another_schema_is_a_fault_of_its_own_and_no_drift(pool):
    features = pool.store.read("feature_table", MEMBER.symbol)
    pool.store.write("feature_table", MEMBER.symbol, features.drop(columns="MACD") * 1e6)
    state = observe(pool, TODAY)
    assert (state.drift, state.drifted_feature) == (0.0, "")
    assert "MACD" in state.fault


def test_a_member_that_cannot_be_observed_stops_no_other(pool):
    Ledger(pool.store).record(a_decision(OTHER, noon_after(SECOND), decision="rolled back"))
    [key] = [key for key in pool.store.keys("promotions") if key.startswith(OTHER.partition_key)]
    Path(pool.store.path("promotions", key)).write_bytes(b"cut")
    states, faults = observe_members(
        pool.store, pool.registry, [OTHER, MEMBER], Recipe(), 240, TODAY, noon_after(TODAY)
    )
    assert [state.member for state in states] == [MEMBER]
    assert faults[OTHER.name].startswith("cannot be observed: CorruptPartition: ")


def test_a_champion_without_its_tags_is_observed_to_have_a_fault(pool):
    champion = pool.champion.version
    bare = replace(champion, member_name=OTHER.name, tags={}, ledger_hashes={})
    versions = {(one.member_name, one.version): one for one in (champion, bare)}
    registry = SimpleNamespace(versions=SimpleNamespace(get_all=lambda _: versions))
    Ledger(pool.store).record(a_decision(OTHER, noon_after(SECOND), decision="rolled back"))
    states, faults = observe_members(
        pool.store, registry, [OTHER, MEMBER], Recipe(), 240, TODAY, noon_after(TODAY)
    )
    assert faults == {}
    assert [(state.member, "as_of is gone" in state.fault) for state in states] == [
        (OTHER, True),
        (MEMBER, False),
    ]


def test_a_damaged_day_of_outcomes_is_named_and_the_others_are_reviewed(pool):
    write_outcomes(pool, "prediction_outcomes", "1", error=BAD)
    last = TODAY + timedelta(days=1)
    write_outcomes(pool, "prediction_outcomes", "1", error=BAD, days=1, until=last)
    file = Path(pool.store.path("prediction_outcomes", last.isoformat()))
    file.write_bytes(file.read_bytes()[:-20])
    outcomes = Outcomes.read(pool.store, Ledger(pool.store).by_member(), last, 240)
    assert len(outcomes.served) == 200
    assert list(outcomes.faults) == [f"prediction_outcomes {last}"]
    assert "run `crypto-pool predict`" in outcomes.faults[f"prediction_outcomes {last}"]


def look(pool, as_of, **options):
    """Observe as the pool does, beside what is found where nothing was kept."""
    arguments = [MEMBER], options.pop("recipe", Recipe()), 240, as_of, noon_after(as_of)
    kept = observe_members(pool.store, pool.registry, *arguments, **options)
    if pool.store.exists("derived", "member_states"):
        pool.store.remove("derived", "member_states")
    assert kept == observe_members(pool.store, pool.registry, *arguments, **options)
    return kept[0]


def later_rows(pool, table, days=80, **changed):
    rows = pool.store.read(table, MEMBER.symbol)
    added = rows.tail(days).assign(**changed)
    added.index += pd.Timedelta(days=days)
    pool.store.write(table, MEMBER.symbol, pd.concat([rows, added]))


def test_what_is_kept_of_a_member_equals_what_is_found_anew(pool, monkeypatch):
    """Whatever changes, by whatever hand: bars, features, ledger, outcomes, day, terms, code."""
    assert look(pool, TODAY) == look(pool, TODAY)
    assert look(pool, TODAY + timedelta(days=1))
    assert "target_pct was" in look(pool, TODAY, recipe=Recipe(Target(pct=0.1)))[0].fault

    later = pool.store.read("daily_bars", MEMBER.symbol).index.max().date() + timedelta(days=120)
    before = look(pool, later)[0]
    for table in ("daily_bars", "feature_table"):
        later_rows(pool, table)
    assert look(pool, later)[0].new_labelled_rows == before.new_labelled_rows + 80
    later_rows(pool, "daily_bars", 40)
    later_rows(pool, "feature_table", 40, MACD=1e6)
    assert look(pool, later)[0].drifted_feature == "MACD"

    write_outcomes(pool, "prediction_outcomes", "1", error=BAD)
    assert look(pool, TODAY)[0].performance.rows == 200
    review(pool)
    [found] = look(pool, TODAY)
    assert "worse than the reference" in found.quarantine

    for another in ("0", "~"):
        with monkeypatch.context() as patch:
            patch.setattr(monitoring, "training_version", lambda code=another: code)
            assert look(pool, TODAY)[0].code_changed
    assert not look(pool, TODAY)[0].code_changed

    pool.appoint(SECOND, STAYS)
    [found] = look(pool, SECOND)
    assert (found.quarantine, found.trained_as_of) == ("", SECOND)


def test_a_champion_that_mlflow_lost_or_changed_is_found_though_nothing_else_changed(pool):
    assert look(pool, TODAY)[0].fault == ""
    client, version = pool.registry.client, pool.champion.version
    name = model_name(MEMBER.name)
    client.set_model_version_tag(name, version.version, "target_pct", "0.1")
    assert "target_pct was 0.1 and is 0.05" in look(pool, TODAY)[0].fault
    client.set_model_version_tag(name, version.version, HASHES_TAG, '{"a": "b"}')
    assert "another in MLflow than the ledger let serve" in look(pool, TODAY)[0].fault
    client.delete_model_version(name, version.version)
    assert "gone from MLflow" in look(pool, TODAY)[0].fault


def test_what_is_decided_later_in_the_day_is_observed_then(pool):
    """A state seen before it, by a clock that was behind, is not kept for it."""
    noon = noon_after(TODAY)
    decided = a_decision(MEMBER, noon + timedelta(hours=1), decision="quarantined", reason="off")
    Ledger(pool.store).record(replace(decided, serving_version="1", model_version="1"))
    for hours, quarantine in ((0, ""), (1, "off"), (2, "off")):
        now = noon + timedelta(hours=hours)
        [state], _ = observe_members(pool.store, pool.registry, [MEMBER], Recipe(), 240, TODAY, now)
        assert state.quarantine == quarantine


def test_a_champion_whose_training_rows_are_gone_is_observed_no_more(pool):
    assert observe(pool, TODAY).fault == ""
    pool.store.remove("training_snapshots", pool.champion.version.tags["data_hash"])
    states, faults = observe_members(
        pool.store, pool.registry, [MEMBER], Recipe(), 240, TODAY, noon_after(TODAY)
    )
    assert states == []
    assert "MissingPartition" in faults[MEMBER.name]


def test_a_tick_observes_some_members_and_the_next_goes_on(pool):
    other = Ledger(pool.store).of_member(MEMBER).assign(trend="downtrend", serving_version=None)
    pool.store.write("promotions", f"{OTHER.partition_key}|1", other)
    arguments = [OTHER, MEMBER], Recipe(), 240, TODAY, noon_after(TODAY)
    seen = [observe_members(pool.store, pool.registry, *arguments, 1)[0] for _ in range(2)]
    assert [[state.member for state in states] for states in seen] == [[OTHER], [OTHER, MEMBER]]
