"""How far a candidate is believed beside the reference, by the rows that say so."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from crypto_pool.domain.calibration_fitting import (
    ANCHOR_DEVIATION,
    CALIBRATION_FITTERS,
    CANDIDATE_DEVIATIONS,
    INTERCEPT_DEVIATION,
    fit_anchored,
)
from crypto_pool.domain.calibrations import calibration_from_dict
from crypto_pool.domain.reference import clipped_logit
from crypto_pool.errors import UntrustedModel
from crypto_pool_tests.domain.evaluations import frame


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


def test_a_base_rate_that_was_off_is_believed_less_than_a_candidate_that_knew():
    """Of what a plain logistic fit would take as an intercept of 0.5, most is held back."""
    random = np.random.default_rng(4)
    logit = random.normal(size=1000)
    label = (random.uniform(size=1000) < expit(logit + 0.5)).astype(int)
    fitted = fit_anchored(np.full(1000, 0.5), logit, label, 20)
    assert 0 < fitted.intercept < 0.1


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
        {"kind": "isotonic", "candidate": [0.1], "served": [-0.1]},
        {"kind": "isotonic", "candidate": [], "served": []},
        {"kind": "unheard-of"},
    ],
)
def test_a_stored_calibration_that_is_not_ours_is_refused(stored):
    with pytest.raises(UntrustedModel):
        calibration_from_dict(stored)


def test_anchored_is_where_likelihood_and_prior_balance():
    random = np.random.default_rng(12)
    logit, better = random.normal(size=600), random.normal(size=600)
    label = (random.uniform(size=600) < expit(logit + better)).astype(int)
    fitted = fit_anchored(expit(better), logit, label, 20)
    served = fitted.apply(expit(better), logit)
    inputs = np.column_stack([logit, clipped_logit(expit(better)), np.ones(600)])
    moved = np.array([fitted.reference_weight - 1, fitted.candidate_weight, fitted.intercept])
    deviations = np.array([ANCHOR_DEVIATION, CANDIDATE_DEVIATIONS[1], INTERCEPT_DEVIATION])
    np.testing.assert_allclose(
        inputs.T @ (label - served) / 20, moved / np.square(deviations), atol=0.001
    )


def test_a_candidate_that_the_rows_do_not_tell_from_noise_hardly_moves_the_anchor():
    """Of 200 that know nothing, 190 and more move a forecast by less than a point."""
    moved = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        logit, noise = random.normal(size=800), random.normal(size=800)
        label = (random.uniform(size=800) < expit(logit)).astype(int)
        fitted = fit_anchored(expit(noise), logit, label, 1)
        alone = replace(fitted, candidate_weight=0.0)
        gap = fitted.apply(expit(noise), logit) - alone.apply(expit(noise), logit)
        moved.append(np.abs(gap).mean())
    assert np.quantile(moved, 0.95) < 0.01


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_what_is_calibrated_already_is_hardly_changed(kind):
    random = np.random.default_rng(13)
    probability = random.uniform(size=4000)
    label = (random.uniform(size=4000) < probability).astype(int)
    fitted = CALIBRATION_FITTERS[kind](probability, np.zeros(4000), label, 20)
    assert np.abs(fitted.apply(probability, np.zeros(4000)) - probability).mean() < 0.04


def test_the_candidate_is_believed_as_far_as_the_labels_are_likelier():
    """Of two ridge penalties, by the evidence that Newton's steps and their curvature give."""
    chosen = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        logit, better = random.normal(size=400), random.normal(size=400)
        label = (random.uniform(size=400) < expit(logit + 0.3 * better)).astype(int)
        inputs = np.column_stack([logit, clipped_logit(expit(better)), np.ones(400)])
        centre, fits = np.array([1.0, 0.0, 0.0]), []
        for deviation in CANDIDATE_DEVIATIONS:
            precision = np.array([ANCHOR_DEVIATION, deviation, INTERCEPT_DEVIATION]) ** -2.0
            found = centre
            for _ in range(20):
                chance = expit(inputs @ found)
                slope = inputs.T @ (chance - label) / 5 + precision * (found - centre)
                curvature = (inputs.T * chance * (1 - chance)) @ inputs / 5 + np.diag(precision)
                found = found - np.linalg.solve(curvature, slope)
            likelihood = np.log(np.where(label, chance, 1 - chance)).sum() / 5
            prior = (precision @ (found - centre) ** 2 - np.log(precision).sum()) / 2
            evidence = likelihood - prior - np.linalg.slogdet(curvature)[1] / 2
            fits.append((evidence, found))
        (_, known), least = max(fits, key=lambda fit: fit[0]), fits[0][1]
        if all(fit[1] > 0 for _, fit in fits):
            fitted = fit_anchored(expit(better), logit, label, 5)
            assert fitted.candidate_weight == pytest.approx(known[1], abs=1e-4)
            chosen.append(known is least)
    assert 0.2 < np.mean(chosen) < 0.8
