"""What a version promises: each metric in an interval that covers what is true."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from crypto_pool.domain.intervals import metric_intervals, resampled_sums
from crypto_pool.domain.overfitting import correct_promise, probability_of_overfitting
from crypto_pool.domain.promise import measured_metrics, metrics_by_fold
from crypto_pool_tests.domain.evaluations import blurred, frame


def candidates(seed: int, count: int = 6) -> dict[str, pd.DataFrame]:
    base = frame(seed)
    random = np.random.default_rng(seed + 1000)
    reference = base["reference_probability"].to_numpy()
    return {
        str(number): base.assign(probability=blurred(reference, random, 0.15))
        for number in range(count)
    }


def best_of(evaluations: dict[str, pd.DataFrame]) -> str:
    return min(
        evaluations,
        key=lambda n: ((evaluations[n].probability - evaluations[n].label) ** 2).mean(),
    )


# Promises


def test_a_recall_is_promised_at_the_threshold_that_serves_and_a_precision_as_measured():
    rows = frame(4).iloc[:80].assign(decision_threshold=0.6)
    folds = correct_promise({"Winner": rows}, "Winner").promised
    serves = correct_promise({"Winner": rows}, "Winner", serves_at=0.2).promised
    came = rows[rows["label"] == 1]
    assert serves["recall"].value == pytest.approx((came["probability"] > 0.2).mean())
    assert serves["recall"].value > folds["recall"].value
    assert serves["precision"] == folds["precision"]


# Intervals


def test_resamples_keep_the_number_of_rows_and_the_mean():
    values = np.column_stack([np.ones(100), np.arange(100.0)])
    sums = resampled_sums(values, 30)
    assert (sums[:, 0] == 100).all()
    assert sums[:, 1].mean() == pytest.approx(4950, rel=0.02)


def test_intervals_cover_what_is_true():
    truth = float(norm.cdf(-0.8 / np.sqrt(1.64)))
    covered = sum(
        low <= truth <= high
        for low, high in (metric_intervals(frame(seed), 20)["base_rate"] for seed in range(80))
    )
    assert 0.78 <= covered / 80 <= 0.97


def test_every_metric_lies_in_its_interval_and_more_rows_narrow_it():
    rows = frame(6, 2400)
    whole, part = measured_metrics(rows, 10), measured_metrics(rows.iloc[:300], 10)
    for name in metric_intervals(rows, 20):
        assert whole[f"{name}_low"] <= whole[name] <= whole[f"{name}_high"]
    width = [one["brier_score_high"] - one["brier_score_low"] for one in (whole, part)]
    assert width[0] < width[1]
    assert whole["effective_sample_size"] == 120
    assert set(metrics_by_fold(rows)) == {2, 3, 4, 5}


def test_few_rows_and_undefined_metrics_have_no_interval():
    assert metric_intervals(frame(7, 150), 20)["brier_score"] is not None
    assert metric_intervals(frame(7, 149), 20)["brier_score"] is None
    assert set(metric_intervals(frame(7, 100), 20).values()) == {None}
    assert measured_metrics(frame(7, 100), 10)["brier_score_low"] is None
    silent = metric_intervals(frame(7).assign(decision_threshold=0.999), 20)
    assert silent["precision"] is None
    assert silent["brier_score"] is not None


def test_signals_that_all_came_true_in_a_few_spells_promise_no_certainty():
    """Ten signals within one label window are one observation, whoever resamples them."""
    came = np.isin(np.arange(660) // 10, (10, 25, 40, 55))
    rows = frame(7).assign(probability=np.where(came, 0.9, 0.3), label=came.astype(int))
    measured = metric_intervals(rows, 20)
    promised = correct_promise({"Winner": rows}, "Winner").promised
    for low, high in (
        measured["precision"],
        measured["positive_accuracy"],
        promised["precision"][1:],
        promised["recall"][1:],
    ):
        assert low < 0.7
        assert high == 1


@pytest.mark.parametrize("seed", range(5))
def test_what_is_promised_of_a_share_can_come_true(seed):
    """However far luck is taken off a wild candidate's figures, they stay what shares can be."""
    base, random = frame(seed, 300), np.random.default_rng(seed)
    reference = base["reference_probability"].to_numpy()
    tried = {
        f"N{number}": base.assign(probability=blurred(reference, random, 2.0))
        for number in range(9)
    }
    winner = best_of(tried)
    tried["RandomWalk"] = base.assign(probability=reference)
    promised = correct_promise(tried, winner, baseline="RandomWalk").promised
    for name in ("precision", "recall", "brier_score"):
        value, low, high = promised[name]
        assert 0 <= low <= value <= high <= 1


def test_each_fold_has_the_figures_of_its_own_rows():
    rows = frame(14)
    folds = metrics_by_fold(rows)
    for number, own in rows.groupby("fold"):
        for name, column in (
            ("brier_score", "probability"),
            ("reference_brier_score", "reference_probability"),
        ):
            expected = ((own[column] - own["label"]) ** 2).mean()
            assert folds[number][name] == pytest.approx(expected)
        assert folds[number]["slice_size"] == len(own)


# Overfitting


def test_the_best_of_several_without_skill_is_overfitted_half_of_the_time():
    found = []
    for seed in range(60):
        evaluations = candidates(seed)
        found.append(correct_promise(evaluations, best_of(evaluations)).pbo)
    assert 0.35 < np.mean(found) < 0.7


def test_a_choice_between_equals_is_overfitted_half_of_the_time():
    rows = frame(11)
    assert correct_promise({"one": rows, "other": rows}, "one").pbo == 0.5


def test_candidates_are_compared_on_the_dates_they_share():
    evaluations = candidates(10, 2)
    evaluations["1"] = evaluations["1"].iloc[200:]
    assert correct_promise(evaluations, "0").rows == 460


def test_too_few_rows_or_candidates_have_no_probability_of_overfitting():
    short = {name: rows.iloc[:90] for name, rows in candidates(11, 3).items()}
    assert correct_promise(short, "0").pbo is None
    assert probability_of_overfitting(np.ones((400, 1)), 20) is None


@pytest.mark.parametrize(("rows", "has_pbo"), [(239, False), (240, True)])
def test_four_parts_make_a_probability(rows, has_pbo):
    short = {name: frame.head(rows) for name, frame in candidates(11, 3).items()}
    assert (correct_promise(short, "0").pbo is not None) == has_pbo


def test_errors_in_the_last_label_window_of_a_part_do_not_count():
    """The next part's labels share prices with them."""
    errors = np.column_stack([np.ones(480), np.full(480, 0.9)])
    errors[40:60, 1] = 1000  # the last 20 of the first of eight parts
    assert probability_of_overfitting(errors, 20) == 0.0
    errors[39, 1] = 1000
    assert probability_of_overfitting(errors, 20) == 1.0
