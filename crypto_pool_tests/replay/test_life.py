"""One member's replayed life: who serves when, and what each decision may have known."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.market import Member, Trend
from crypto_pool.domain.policies import PurgedWalkForwardPolicy
from crypto_pool.domain.promotion import PromotionRules
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
    assert set(served["version"]) == {1}
    assert set(served["promised_precision"]) == {0.61}
    np.testing.assert_array_equal(served["label"], LABELS[days])
    np.testing.assert_array_equal(served["flagged"], served["probability"] > 0.5)
    correction = lived.decisions[0]["selection_correction"]
    assert (correction["winner"], correction["candidates_tried"]) == ("Good", 1)


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
    assert served.get_group(1).index.max() == pd.Timestamp(SECOND)
    assert served.get_group(2).index.min() == pd.Timestamp(SECOND) + pd.Timedelta(days=1)


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
    assert lived.forecasts.index.min() == late + pd.Timedelta(days=11)
