"""One member's replayed life: who serves when, and what each decision may have known."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.market import Member, Trend
from crypto_pool.domain.promotion import PromotionRules
from crypto_pool.domain.purged import PurgedWalkForwardPolicy
from crypto_pool.replay.life import MemberLife, live
from crypto_pool.replay.rounds import Contender

MEMBER = Member("AAA", Trend.UPTREND)
FIRST, SECOND, END = date(2021, 1, 1), date(2021, 4, 1), date(2021, 5, 1)
DAYS = pd.date_range("2020-06-01", END)
LABELS = pd.Series((np.arange(len(DAYS)) // 6 % 3 == 0).astype(float), index=DAYS)
POLICY = PurgedWalkForwardPolicy()
STAYS = PromotionRules(refresh_after_days=10_000, rows_to_be_better=60)
PASSES = {
    "positive_accuracy": 0.7,
    "negative_accuracy": 0.7,
    "overall_score": 0.7,
    "precision": 0.6,
    "brier_score": 0.15,
    "reference_brier_score": 0.16,
}


def contender(as_of: date, name: str, *, error: float = 0.4, **metrics: float) -> Contender:
    """Each forecast is `error` off what came; all labels of its fit were known on the day."""
    learned = pd.Timestamp(as_of) - pd.Timedelta(days=10)
    ahead = DAYS[pd.Timestamp(as_of) < DAYS]
    judged = DAYS[learned >= DAYS]
    return Contender(
        algorithm=name,
        as_of=as_of,
        metrics={**PASSES, **metrics},
        decision_threshold=0.5,
        trained_through=learned,
        chosen_through=learned,
        base_rate=1 / 3,
        forecasts=_forecasts(ahead, error),
        evaluation=_forecasts(judged, error).assign(
            label=LABELS[judged], decision_threshold=0.5, fold=2
        ),
    )


def _forecasts(days: pd.DatetimeIndex, error: float) -> pd.DataFrame:
    probability = (LABELS[days] - error).abs()
    return pd.DataFrame({"probability": probability, "reference_probability": 1 / 3}, index=days)


def life(
    first: list[Contender],
    second: list[Contender],
    rules: PromotionRules = STAYS,
    labels: pd.Series = LABELS,
) -> MemberLife:
    rounds = {
        as_of: {one.algorithm: one for one in contenders}
        for as_of, contenders in ((FIRST, first), (SECOND, second))
    }
    return live(MEMBER, rounds, labels, POLICY, END, rules)


def decisions(lived: MemberLife) -> list[str]:
    return [entry["decision"] for entry in lived.decisions]


def test_where_nobody_passes_nobody_serves():
    fails = [contender(FIRST, "Poor", positive_accuracy=0.2)]
    lived = life(fails, [])
    assert decisions(lived) == ["rejected", "rejected"]
    assert lived.forecasts.empty
    assert [entry["serving_version"] for entry in lived.decisions] == [None, None]


def test_a_champion_serves_each_day_once_with_its_own_promise():
    lived = life([contender(FIRST, "Good", precision=0.61)], [contender(SECOND, "Good")])
    assert decisions(lived) == ["promoted", "kept"]
    served = lived.forecasts
    days = pd.date_range(FIRST + timedelta(days=1), END)
    np.testing.assert_array_equal(served.index, days)
    assert set(served["version"]) == {"1"}
    assert set(served["status"]) == {"active"}
    # What was measured on the rows it was judged on: no choice has to be charged for.
    rows = contender(FIRST, "Good").evaluation
    assert set(served["promised_precision"]) == {rows["label"][rows["probability"] > 0.5].mean()}
    np.testing.assert_array_equal(served["label"], LABELS[days])
    np.testing.assert_array_equal(served["flagged"], served["probability"] > 0.5)
    promise = lived.decisions[0]["promise"]
    assert (promise["winner"], promise["candidates_tried"]) == ("Good", 1)


def better_challenger() -> tuple[list[Contender], list[Contender]]:
    """The first round's best by promise is beaten on what came after it."""
    first = [
        contender(FIRST, "Luck", error=0.45, brier_score=0.1),
        contender(FIRST, "Skill", error=0.2),
    ]
    return first, [contender(SECOND, "Skill", error=0.2)]


def test_a_challenger_that_is_better_on_unseen_rows_serves_from_its_day_on():
    lived = life(*better_challenger())
    assert decisions(lived) == ["promoted", "promoted"]
    assert (
        "is better than version 1: Skill's Brier score is lower by 0.1625"
        in lived.decisions[1]["reason"]
    )
    served = lived.forecasts.groupby("version")
    assert [set(rows["algorithm"]) for _, rows in served] == [{"Luck"}, {"Skill"}]
    assert served.get_group("1").index.max() == pd.Timestamp(SECOND)
    assert served.get_group("2").index.min() == pd.Timestamp(SECOND) + pd.Timedelta(days=1)


@pytest.mark.parametrize(("known_before", "same"), [(9, True), (10, False)])
def test_a_decision_knows_no_label_of_its_last_ten_days(known_before, same):
    """A label is known ten days later: what comes after changes nothing, the day itself does."""
    from_day = pd.Timestamp(SECOND) - pd.Timedelta(days=known_before)
    others = LABELS.where(LABELS.index < from_day, 1 - LABELS)
    reasons = [
        life(*better_challenger(), labels=told).decisions[1]["reason"] for told in (LABELS, others)
    ]
    assert (reasons[0] == reasons[1]) == same


def test_without_enough_unseen_rows_a_champion_stays_until_it_is_old():
    first, second = better_challenger()
    many = PromotionRules(refresh_after_days=10_000)
    assert decisions(life(first, second, many)) == ["promoted", "kept"]
    old = PromotionRules(refresh_after_days=60)
    assert decisions(life(first, second, old)) == ["promoted", "refreshed"]


def test_days_whose_labels_a_champion_was_fitted_on_are_not_served():
    seen = contender(FIRST, "Good")
    late = pd.Timestamp(FIRST) - pd.Timedelta(days=3)  # as holdout's choice: its labels end later
    lived = life([Contender(**{**vars(seen), "trained_through": late})], [])
    assert lived.forecasts.index.min() == late + pd.Timedelta(days=10)


def baseline(as_of: date, **metrics: float) -> Contender:
    """The reference, which forecasts a third each day."""
    return contender(as_of, "RandomWalk", error=1 / 3, **metrics)


def test_where_no_candidate_adds_enough_the_baseline_serves_under_its_own_name():
    worse = contender(FIRST, "Worse", error=0.6)
    lived = life([baseline(FIRST), worse], [])
    assert lived.decisions[0]["algorithm"] == "RandomWalk"
    assert set(lived.forecasts["algorithm"]) == {"RandomWalk"}
    assert set(lived.forecasts["status"]) == {"active"}


def test_where_the_winner_fails_the_gates_an_old_champion_stands_down():
    fails = [baseline(SECOND, positive_accuracy=0.2)]
    lived = life([contender(FIRST, "Good", error=0.2)], fails, PromotionRules())
    assert decisions(lived) == ["promoted", "stood down"]
    after = lived.forecasts.loc[SECOND + timedelta(days=1) :]
    assert set(after["status"]) == {"baseline"}
    assert not after["flagged"].any()
    assert after["version"].isna().all()


def test_one_far_worse_than_the_reference_is_quarantined_and_replaced_at_the_next_training():
    end = pd.Timestamp(FIRST) + pd.Timedelta(days=300)
    days = pd.date_range("2020-06-01", end)
    labels = pd.Series((np.arange(len(days)) // 6 % 3 == 0).astype(float), index=days)
    second = (pd.Timestamp(FIRST) + pd.Timedelta(days=200)).date()
    bad, good = contender(FIRST, "Bad", error=0.4), contender(FIRST, "Good", error=0.2)

    def ahead(one: Contender, as_of: date, error: float) -> Contender:
        told = pd.DataFrame(
            {"probability": (labels - error).abs(), "reference_probability": 1 / 3}
        ).loc[pd.Timestamp(as_of) + pd.Timedelta(days=1) :]
        return Contender(**{**vars(one), "as_of": as_of, "forecasts": told})

    rounds = {
        FIRST: {"Bad": ahead(bad, FIRST, 0.9)},
        second: {"Good": ahead(good, second, 0.2)},
    }
    lived = live(MEMBER, rounds, labels, POLICY, end.date(), PromotionRules())
    assert decisions(lived) == ["promoted", "quarantined", "replaced"]
    day = lived.decisions[1]["as_of"]
    assert 100 <= (day - FIRST).days <= 140
    status = lived.forecasts["status"]
    assert set(status[: pd.Timestamp(day)]) == {"active"}
    silent = lived.forecasts.loc[pd.Timestamp(day) + pd.Timedelta(days=1) : pd.Timestamp(second)]
    assert set(silent["status"]) == {"abstain"}
    assert not silent["flagged"].any()
    assert set(status[pd.Timestamp(second) + pd.Timedelta(days=1) :]) == {"active"}
