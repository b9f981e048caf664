import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm

from crypto_pool.domain.calibration import calibration_from_dict
from crypto_pool.domain.calibration_fitting import CALIBRATION_FITTERS, fit_anchored
from crypto_pool.domain.evaluation import classification_metrics
from crypto_pool.domain.intervals import metric_intervals, resampled_sums
from crypto_pool.domain.labels import label_forward_return, label_target
from crypto_pool.domain.overfitting import correct_selection, probability_of_overfitting
from crypto_pool.domain.promise import bounds_by_name, measure_promise
from crypto_pool.domain.reference import random_walk_probability
from crypto_pool.domain.thresholds import choose_threshold
from crypto_pool.errors import InvalidSetting, UnscoredCandidate, UntrustedModel


def smooth(random: np.random.Generator, rows: int, width: int = 20) -> np.ndarray:
    noise = random.normal(size=rows + width - 1)
    return np.convolve(noise, np.full(width, width**-0.5), mode="valid")


def frame(seed: int, rows: int = 660, noise: float = 0.15) -> pd.DataFrame:
    """Labels that overlap, a calibrated reference, and a candidate that is it with noise."""
    random = np.random.default_rng(seed)
    reference = np.clip(norm.cdf(0.8 * smooth(random, rows) - 0.8), 0.02, 0.98)
    label = (norm.cdf(smooth(random, rows)) < reference).astype(int)
    return pd.DataFrame(
        {
            "label": label,
            "probability": blurred(reference, random, noise),
            "reference_probability": reference,
            "decision_threshold": 0.5,
            "fold": np.repeat([2, 3, 4, 5], -(-rows // 4))[:rows],
        },
        index=pd.date_range("2020-01-01", periods=rows),
    )


def blurred(reference: np.ndarray, random: np.random.Generator, noise: float) -> np.ndarray:
    return expit(np.log(reference / (1 - reference)) + noise * smooth(random, len(reference)))


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


# Calibration


def test_a_candidate_that_knows_nothing_leaves_the_reference():
    rows = frame(0, 800)
    logit = np.log(rows.reference_probability / (1 - rows.reference_probability)).to_numpy()
    noise = np.random.default_rng(1).uniform(0.05, 0.95, len(rows))
    fitted = fit_anchored(noise, logit, rows.label.to_numpy(), 20)
    served = fitted.apply(noise, logit)
    assert np.abs(served - rows.reference_probability).max() < 0.12
    assert fitted.candidate_weight < 0.15


def test_a_candidate_that_knows_is_believed_the_more_the_more_rows_say_so():
    random = np.random.default_rng(2)
    logit, better = random.normal(size=6000), random.normal(size=6000)
    label = (random.uniform(size=6000) < expit(logit + better)).astype(int)
    weights = [
        fit_anchored(expit(better)[:rows], logit[:rows], label[:rows], 20).candidate_weight
        for rows in (100, 1000, 6000)
    ]
    assert 0 <= weights[0] < weights[1] < weights[2]
    assert weights[2] > 0.6
    assert fit_anchored(expit(-better), logit, label, 20).candidate_weight == 0.0


def test_overlapping_labels_count_for_less():
    random = np.random.default_rng(3)
    logit, better = random.normal(size=1000), random.normal(size=1000)
    label = (random.uniform(size=1000) < expit(better)).astype(int)
    loose, careful = (fit_anchored(expit(better), logit, label, n) for n in (1, 50))
    assert loose.candidate_weight > careful.candidate_weight


def test_without_rows_it_is_the_reference():
    none = np.array([])
    assert fit_anchored(none, none, none, 20).to_dict() == {
        "kind": "anchored",
        "reference_weight": 1.0,
        "candidate_weight": 0.0,
        "intercept": 0.0,
    }


@pytest.mark.parametrize("kind", ["anchored", "platt", "isotonic"])
def test_a_calibration_survives_being_stored(kind):
    rows = frame(4)
    logit = np.log(rows.reference_probability / (1 - rows.reference_probability)).to_numpy()
    raw = rows.probability.to_numpy()
    fitted = CALIBRATION_FITTERS[kind](raw, logit, rows.label.to_numpy(), 20)
    stored = calibration_from_dict(json.loads(json.dumps(fitted.to_dict())))
    np.testing.assert_array_equal(stored.apply(raw, logit), fitted.apply(raw, logit))
    served = fitted.apply(np.array([0.0, 0.5, 1.0]), np.zeros(3))
    assert (np.diff(served) >= 0).all()
    assert np.isfinite(served).all()


@pytest.mark.parametrize(
    "stored",
    [
        {"kind": "anchored", "reference_weight": 1.0, "candidate_weight": 0.0},
        {"kind": "platt", "slope": float("nan"), "intercept": 0.0},
        {"kind": "platt", "slope": "1", "intercept": 0.0},
        {"kind": "platt", "slope": True, "intercept": 0.0},
        {"kind": "isotonic", "candidate": [0.1, 0.1], "served": [0.1, 0.2]},
        {"kind": "isotonic", "candidate": [0.1, 0.2], "served": [0.3, 0.2]},
        {"kind": "isotonic", "candidate": [0.1, 0.2], "served": [0.3]},
        {"kind": "isotonic", "candidate": [0.1], "served": [1.3]},
        {"kind": "isotonic", "candidate": [], "served": []},
        {"kind": "unheard-of"},
    ],
)
def test_a_stored_calibration_that_is_not_ours_is_refused(stored):
    with pytest.raises(UntrustedModel):
        calibration_from_dict(stored)


# Threshold


def test_the_threshold_is_the_best_within_bounds():
    random = np.random.default_rng(5)
    probability = random.uniform(size=4000)
    label = (random.uniform(size=4000) < probability).astype(int)
    chosen = choose_threshold(label, probability)
    assert 0.4 <= chosen <= 0.6
    scores = {
        threshold: classification_metrics(label, probability, threshold)["overall_score"]
        for threshold in np.arange(0.4, 0.61, 0.01)
    }
    assert classification_metrics(label, probability, chosen)["overall_score"] == pytest.approx(
        max(scores.values()), abs=0.01
    )


def test_a_degenerate_threshold_is_never_chosen():
    low = np.linspace(0.0, 0.2, 100)
    assert choose_threshold(np.zeros(100), low) == 0.5  # nothing would be flagged
    assert choose_threshold(np.array([]), np.array([])) == 0.5
    few = np.concatenate([np.full(97, 0.4), np.full(3, 0.9)])
    assert choose_threshold((few > 0.5).astype(int), few) == 0.5  # 3 % or all flagged elsewhere


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
    whole, part = measure_promise(rows, 10), measure_promise(rows.iloc[:300], 10)
    for name, (low, high) in whole.intervals.items():
        value = whole.reference_metrics["brier_score"] if "reference_b" in name else None
        assert low <= (whole.metrics[name] if value is None else value) <= high
    width = [high - low for low, high in (p.intervals["brier_score"] for p in (whole, part))]
    assert width[0] < width[1]
    assert whole.metrics["effective_sample_size"] == 120
    assert set(whole.folds) == {2, 3, 4, 5}


def test_few_rows_and_undefined_metrics_have_no_interval():
    short = measure_promise(frame(7, 100), 10)
    assert set(short.intervals.values()) == {None}
    assert bounds_by_name(short)["brier_score_low"] is None
    silent = metric_intervals(frame(7).assign(decision_threshold=0.999), 20)
    assert silent["precision"] is None
    assert silent["brier_score"] is not None


# Selection


def test_the_best_of_several_without_skill_is_not_believed():
    corrections = []
    for seed in range(80):
        evaluations = candidates(seed)
        corrections.append(correct_selection(evaluations, best_of(evaluations)))
    claims = [correction.skill_interval[0] > 0 for correction in corrections]
    assert np.mean(claims) <= 0.09
    assert 0.35 < np.mean([correction.pbo for correction in corrections]) < 0.7


def test_real_skill_is_found_and_not_taken_for_overfitting():
    rows = frame(8, 1200)
    better = 0.5 * rows["reference_probability"] + 0.5 * rows["label"]
    evaluations = {"noisy": rows, "better": rows.assign(probability=better)}
    correction = correct_selection(evaluations, "better")
    assert correction.skill == pytest.approx(0.75, abs=0.01)
    assert correction.skill_interval[0] > 0
    assert correction.pbo == 0.0
    assert correction.candidates_tried == 2
    assert correction.effective_sample_size == 60


def test_more_candidates_widen_the_interval():
    evaluations = candidates(9, 10)
    alone = correct_selection({"0": evaluations["0"]}, "0")
    many = correct_selection(evaluations, "0")
    assert alone.pbo is None
    assert many.skill == pytest.approx(alone.skill)
    assert np.diff(many.skill_interval)[0] > np.diff(alone.skill_interval)[0]


def test_candidates_are_compared_on_the_dates_they_share():
    evaluations = candidates(10, 2)
    evaluations["1"] = evaluations["1"].iloc[200:]
    assert correct_selection(evaluations, "0").rows == 460
    evaluations["1"] = evaluations["1"].iloc[:0]
    with pytest.raises(UnscoredCandidate, match="no common bar date"):
        correct_selection(evaluations, "0")
    with pytest.raises(UnscoredCandidate, match="train it again"):
        correct_selection(evaluations, "2")


def test_too_few_rows_correct_nothing():
    short = {name: rows.iloc[:90] for name, rows in candidates(11, 3).items()}
    correction = correct_selection(short, "0")
    assert correction.skill is not None
    assert (correction.skill_interval, correction.pbo) == (None, None)
    assert probability_of_overfitting(np.ones((400, 1)), 20) is None


# The other target


@pytest.mark.parametrize("trend", ["uptrend", "downtrend"])
def test_forward_return_is_close_to_close(market, trend):
    close = market.bars["close"]
    change = close.shift(-10) / close - 1
    hit = change >= 0.05 if trend == "uptrend" else change <= -0.05
    labels = label_target(market.bars, trend, target="forward_return")
    pd.testing.assert_series_equal(
        labels, hit.astype(float).where(change.notna()), check_names=False, check_freq=False
    )
    gone = market.bars.index[100]
    assert np.isnan(label_forward_return(market.bars.drop(gone), trend).iloc[90])
    spread = np.log(close).diff().rolling(60).std()
    ends = -np.log(1.05) if trend == "uptrend" else np.log(0.95)
    expected = pd.Series(norm.cdf(ends / (np.sqrt(10) * spread)), index=close.index)
    actual = random_walk_probability(market.bars, trend, target="forward_return")
    pd.testing.assert_series_equal(actual, expected, check_names=False, check_freq=False)


def test_an_unknown_target_is_refused(market):
    with pytest.raises(InvalidSetting, match="'close'"):
        label_target(market.bars, "uptrend", target="close")
    with pytest.raises(InvalidSetting, match="'close'"):
        random_walk_probability(market.bars, "uptrend", target="close")
