"""What came of forecasts, by one rule."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.evaluation import brier_skill
from crypto_pool.domain.performance import (
    Performance,
    Verdict,
    by_luck,
    count_luck,
    live_rows,
    measure,
)
from crypto_pool_tests.domain.live_forecasts import opposite, scored


def test_figures_are_those_of_the_rows():
    rows = scored(40).assign(
        probability=[0.9, 0.1] * 20, outcome=[1.0, 0.0] * 20, signal=[True, False] * 20
    )
    found = measure(rows, 10)
    assert (found.rows, found.days, found.signals, found.base_rate) == (40, 40, 20, 0.5)
    assert found.effective_sample_size == 2.0
    assert found.precision.value == found.recall.value == 1.0
    assert found.mean_probability == pytest.approx(0.5)
    assert found.brier_score.value == pytest.approx(0.01)
    assert found.reference_brier_score == pytest.approx((0.79**2 + 0.21**2) / 2)
    assert found.skill_over_reference.value == brier_skill(0.01, found.reference_brier_score)
    assert (found.brier_score.low, found.p_value, found.verdict) == (None, None, Verdict.UNTOLD)


def test_nothing_scored_gives_no_figures():
    assert measure(pd.DataFrame(), 10) == Performance()


@pytest.mark.parametrize(
    ("column", "value"),
    [("in_sample", True), ("late", True), ("status", "abstain"), ("outcome", np.nan)],
)
def test_a_row_that_is_no_live_forecast_counts_nowhere(column, value):
    rows = scored(50)
    rows.loc[rows.index[-5:], column] = value
    kept = live_rows(rows, rows["prediction_date"].max() + timedelta(days=10), 30, 10)
    assert list(kept.index) == list(rows.index[-20:-5])


def test_rows_that_were_not_yet_known_on_the_day_do_not_count():
    rows = scored(50)
    kept = live_rows(rows, rows["prediction_date"].iloc[39], 30, 10)
    assert list(kept["prediction_date"]) == list(rows["prediction_date"].iloc[10:30])


def test_each_outcome_stands_beside_the_promise_of_the_version_that_made_it():
    old = scored(60).assign(promised_precision=0.8, signal=True)
    new = scored(30, start="2023-03-02", version="2").assign(promised_precision=0.5, signal=True)
    assert measure(pd.concat([old, new]), 10).promised_precision == pytest.approx(0.7)
    silent = new.assign(signal=False)
    assert measure(pd.concat([old, silent]), 10).promised_precision == pytest.approx(0.8)


def test_the_baseline_enters_no_promise_and_the_skill_is_given_with_it_too():
    champions = opposite(60)
    baseline = scored(60, coins=("ETH",)).assign(
        status="baseline", signal=False, promised_precision=np.nan
    )
    baseline["probability"] = baseline["reference_probability"]
    pool, alone = measure(pd.concat([champions, baseline]), 10), measure(champions, 10)
    for name in ("rows", "precision", "promised_precision", "brier_score", "verdict", "p_value"):
        assert getattr(pool, name) == getattr(alone, name)
    assert (pool.baseline_rows, pool.baseline_skill.value) == (60, 0.0)
    assert pool.skill_over_reference.value < pool.skill_with_baseline.value < 0
    assert measure(baseline, 10).rows == 0


def test_the_share_inside_the_range_is_of_all_rows_that_had_one():
    """Whoever served: the range is the coin's."""
    rows = scored(420).assign(inside_range=[None] * 20 + [True, True, True, False] * 100)
    share = measure(rows.assign(status="baseline"), 10).inside_range
    assert share == measure(rows, 10).inside_range
    assert share.value == pytest.approx(0.75)
    assert share.low < 0.75 < share.high
    assert measure(scored(100), 10).inside_range.value is None


def test_intervals_lie_around_their_figures_and_narrow_with_days():
    short, long = measure(scored(100), 10), measure(scored(400), 10)
    for name in ("precision", "recall", "brier_score", "skill_over_reference"):
        few, many = getattr(short, name), getattr(long, name)
        assert few.low <= few.value <= few.high
        assert many.high - many.low < few.high - few.low
    assert measure(scored(89), 10).brier_score.low is None
    assert measure(scored(90), 10).brier_score.low is not None


def test_intervals_of_precision_and_brier_score_cover_what_is_true():
    """Signals on days by themselves: the precision is the base rate."""
    truth = 0.2119  # of a level above 0.8
    precision, brier = [], []
    for seed in range(300):
        found = measure(scored(240, seed=seed), 10)
        precision.append(found.precision.low <= truth <= found.precision.high)
        expected = truth * (1 - truth)
        brier.append(found.brier_score.low <= expected <= found.brier_score.high)
    assert 0.8 <= np.mean(precision) <= 0.95
    assert 0.8 <= np.mean(brier) <= 0.95


@pytest.mark.parametrize("inside", [True, False])
def test_all_or_none_of_few_overlapping_days_is_no_certainty(inside):
    """110 days are three blocks, whose outcomes hang together: they say little of 80 %."""
    few, many = (
        measure(scored(days).assign(inside_range=inside), 10).inside_range for days in (110, 700)
    )
    assert few.value == float(inside)
    assert 0 <= few.low < 0.8 if inside else few.high > 0.2
    assert many.low > few.low if inside else many.high < few.high
    assert max(few.high, many.high) <= 1


def test_many_coins_of_one_day_are_not_many_observations():
    one = scored(120, bias=0.02)
    same = pd.concat([one.assign(symbol=f"C{i}") for i in range(20)])
    ours, theirs = measure(one, 10), measure(same, 10)
    assert theirs.effective_sample_size == 6.0
    assert theirs.p_value == pytest.approx(ours.p_value)
    assert theirs.skill_over_reference == pytest.approx(ours.skill_over_reference)
    assert theirs.brier_score == pytest.approx(ours.brier_score)


def test_the_verdict_says_on_which_side_the_whole_interval_lies():
    worse = measure(opposite(200), 10)
    assert worse.verdict == "worse than the reference"
    good = scored(400)
    better = measure(good.assign(probability=0.1 + 0.8 * good["outcome"]), 10)
    assert better.verdict == "better than the reference"
    assert measure(scored(200, seed=1), 10).verdict == "cannot be told from the reference"
    verdicts = [worse.verdict] * 3 + [better.verdict] + [Verdict.UNTOLD] * 36
    luck = count_luck(verdicts)
    assert (luck.members, luck.better, luck.worse) == (40, 1, 3)
    assert luck.by_chance == pytest.approx(2.0)


def test_over_a_reference_that_is_never_wrong_there_is_no_skill():
    rows = scored(120)
    found = measure(rows.assign(reference_probability=rows["outcome"]), 10)
    assert found.reference_brier_score == 0.0
    assert found.skill_over_reference.value is None


@pytest.mark.parametrize(("probability", "p_value"), [(0.4, 0.0), (0.5, 1.0), (0.6, 1.0)])
def test_the_same_loss_every_day_leaves_no_doubt(probability, p_value):
    rows = scored(120).assign(outcome=1.0, reference_probability=0.5, probability=probability)
    assert measure(rows, 10).p_value == pytest.approx(p_value, abs=1e-12)


def test_a_row_of_a_table_has_each_figure_with_both_ends():
    row = measure(scored(120), 10).row()
    assert row["precision_low"] < row["precision"] < row["precision_high"]
    assert row["promised_recall"] == 0.5
    assert row["verdict"] in list(Verdict)


@pytest.mark.parametrize(
    ("p_value", "words"),
    [
        (1.0, "in 100 of 100"),
        (0.86, "in 86 of 100"),
        (0.01, "in 1 of 100"),
        (0.0062, "in 1 of 160"),
        (5.4e-06, "in 1 of 190,000"),
        (0.0, "in 1 of 1,000,000,000"),
    ],
)
def test_a_p_value_is_told_as_one_says_it(p_value: float, words: str) -> None:
    assert by_luck(p_value) == words
