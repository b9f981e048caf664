from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.outcomes import (
    ReviewRules,
    live_outcomes,
    measure_realised,
    review_champion,
    review_days_needed,
)

RULES = ReviewRules()
NOBODY = pd.DataFrame()


def scored(days, *, bias=0.0, seed=0, start="2023-01-01", coins=("BTC",), version="1"):
    """Forecasts off the base rate by `bias`, of labels that overlap as those of the pool do."""
    generator = np.random.default_rng(seed)
    frames = []
    for coin in coins:
        shocks = generator.standard_normal(days + 19)
        level = np.convolve(shocks, np.ones(20), "valid") / np.sqrt(20)
        outcome = (level > 0.8).astype(float)
        reference = np.full(days, 0.21)
        frames.append(
            pd.DataFrame(
                {
                    "prediction_date": pd.date_range(start, periods=days).date,
                    "symbol": coin,
                    "trend": "uptrend",
                    "probability": reference + bias + 0.001 * generator.standard_normal(days),
                    "signal": generator.random(days) < 0.3,
                    "reference_probability": reference,
                    "outcome": outcome,
                    "in_sample": False,
                    "model_version": version,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def opposite(days, **options):
    """Forecasts that expect the opposite of what happens."""
    rows = scored(days, **options)
    return rows.assign(probability=0.9 - 0.8 * rows["outcome"])


def test_figures_are_those_of_the_rows():
    rows = scored(40).assign(
        probability=[0.9, 0.1] * 20, outcome=[1.0, 0.0] * 20, signal=[True, False] * 20
    )
    found = measure_realised(rows, 10)
    assert (found.rows, found.signals, found.precision, found.base_rate) == (40, 20, 1.0, 0.5)
    assert found.mean_probability == pytest.approx(0.5)
    assert found.brier_score == pytest.approx(0.01)
    assert found.reference_brier_score == pytest.approx((0.79**2 + 0.21**2) / 2)
    assert found.skill_over_reference == pytest.approx(1 - 0.01 / found.reference_brier_score)
    assert found.separate_windows == 2.0
    assert found.chance is None


def test_nothing_scored_gives_no_figures():
    found = measure_realised(NOBODY, 10)
    assert (found.rows, found.precision, found.brier_score, found.chance) == (0, None, None, None)


def test_rows_a_model_has_seen_and_rows_before_the_window_do_not_count():
    rows = scored(50)
    rows.loc[rows.index[-5:], "in_sample"] = True
    last = rows["prediction_date"].max()
    kept = live_outcomes(rows, last, 20)
    assert len(kept) == 15
    assert not kept["in_sample"].any()


def test_rows_after_the_day_do_not_count():
    rows = scored(50)
    through = rows["prediction_date"].iloc[29]
    kept = live_outcomes(rows, through, 20)
    assert list(kept["prediction_date"]) == list(rows["prediction_date"].iloc[10:30])


def test_one_worse_than_the_reference_is_quarantined_and_the_reason_has_the_figures():
    review = review_champion(opposite(200), NOBODY, NOBODY, RULES)
    assert review.action == "quarantine"
    assert "200 live forecasts" in review.reason
    assert "10.0 separate label windows" in review.reason


def test_ninety_days_are_too_few_to_condemn_even_the_worst():
    review = review_champion(opposite(90), NOBODY, NOBODY, RULES)
    assert review.action == "keep"
    assert "too few" in review.reason


def test_five_whole_label_windows_make_a_verdict():
    assert measure_realised(opposite(99), 10).chance is None
    assert measure_realised(opposite(100), 10).chance is not None


@pytest.mark.parametrize(("shorter", "known"), [(0, True), (1, False)])
def test_the_shortest_window_of_a_review_just_holds_a_verdict(shorter, known):
    rows = opposite(200)
    matured = rows["prediction_date"].max() + timedelta(days=10)
    kept = live_outcomes(rows, matured, review_days_needed(10) - shorter)
    assert (measure_realised(kept, 10).chance is not None) == known


def test_over_a_reference_that_is_never_wrong_there_is_no_skill():
    rows = scored(120)
    found = measure_realised(rows.assign(reference_probability=rows["outcome"]), 10)
    assert found.reference_brier_score == 0.0
    assert found.skill_over_reference is None


@pytest.mark.parametrize(("probability", "chance"), [(0.4, 0.0), (0.5, 1.0), (0.6, 1.0)])
def test_the_same_loss_every_day_leaves_no_doubt(probability, chance):
    rows = scored(120).assign(outcome=1.0, reference_probability=0.5, probability=probability)
    assert measure_realised(rows, 10).chance == pytest.approx(chance, abs=1e-12)


def test_one_just_as_good_as_the_reference_is_quarantined_about_as_often_as_said():
    rules = ReviewRules(level=0.05)
    verdicts = [
        review_champion(scored(240, bias=0.0, seed=seed), NOBODY, NOBODY, rules).action
        for seed in range(300)
    ]
    assert verdicts.count("quarantine") / 300 < 0.12
    assert verdicts.count("quarantine") > 0


def test_many_coins_of_one_day_are_not_many_observations():
    one = scored(120, bias=0.02)
    same = pd.concat([one.assign(symbol=f"C{i}") for i in range(20)])
    found = measure_realised(same, 10)
    assert found.chance == pytest.approx(measure_realised(one, 10).chance)
    assert found.separate_windows == 6.0


def test_a_previous_version_that_does_better_on_the_same_days_returns():
    champion = opposite(150, version="2")
    previous = champion.assign(probability=champion["reference_probability"], model_version="1")
    review = review_champion(champion, champion, previous, RULES)
    assert review.action == "roll back"
    assert "150 live days" in review.reason


def test_a_previous_version_is_judged_on_days_both_forecast():
    champion = scored(150, bias=0.0, version="2")
    earlier = scored(150, bias=0.0, start="2021-01-01")
    assert review_champion(champion, champion, earlier, RULES).action == "keep"


def test_a_previous_version_that_does_the_same_does_not_return():
    champion = opposite(150, version="2")
    previous = champion.assign(model_version="1")
    assert review_champion(NOBODY, champion, previous, RULES).action == "keep"
