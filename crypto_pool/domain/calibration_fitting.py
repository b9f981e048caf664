"""Learns a calibration from out-of-fold rows, with a care that fits how few they really are."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from crypto_pool.domain.calibrations import (
    AnchoredCalibration,
    Calibration,
    IsotonicCalibration,
    PlattCalibration,
)
from crypto_pool.domain.reference import clipped_logit
from crypto_pool.errors import UnscoredCandidate

# How far, in standard deviations of a normal prior, the anchor's weight is expected from 1 and the
# intercept from 0. The intercept is held hardest: a base rate learned from some thirty independent
# windows is mostly luck.
ANCHOR_DEVIATION, INTERCEPT_DEVIATION = 0.1, 0.05
# And the candidate's weight from 0: hardly, or as far as one that knows something. Of ten
# candidates some win by luck alone; one that the rows do not tell from noise then costs little.
CANDIDATE_DEVIATIONS = (0.03, 0.2)
REFERENCE_ITSELF = (1.0, 0.0, 0.0)


def fit_anchored(
    probability: np.ndarray, reference_logit: np.ndarray, labels: np.ndarray, overlap: int
) -> AnchoredCalibration:
    """Fit a logistic curve over anchor and candidate, drawn toward the anchor itself.

    By row: the candidate's probability, the log odds of its anchor (reference or panel), the 0/1
    label. Neighbouring labels share most of their window: `overlap` of them count as one
    observation, so rows are weighted by 1 / overlap against the prior. Neither weight is
    ever negative: a candidate that was wrong so far is ignored, not believed in reverse.
    Without rows it is the anchor. How far a candidate may move it is learned too: of two
    ridge penalties that serves under which the labels are likelier (marginal likelihood by
    Laplace's approximation; MacKay, "Bayesian interpolation", 1992).
    """
    inputs = np.column_stack(
        [reference_logit, clipped_logit(probability), np.ones(len(reference_logit))]
    )
    target = np.asarray(labels, dtype=np.float64)
    fits = [_ridge_fit(inputs, target, overlap, one) for one in CANDIDATE_DEVIATIONS]
    _, coefficients = max(fits, key=lambda fit: fit[0])
    return AnchoredCalibration(*map(float, coefficients))


def _ridge_fit(
    inputs: np.ndarray, target: np.ndarray, overlap: int, candidate_deviation: float
) -> tuple[float, np.ndarray]:
    """Return the log of the marginal likelihood, up to a constant, and the coefficients."""
    deviations = np.array([ANCHOR_DEVIATION, candidate_deviation, INTERCEPT_DEVIATION])
    centre, precision = np.array(REFERENCE_ITSELF), deviations**-2

    def penalised_loss(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        scores, shift = inputs @ coefficients, coefficients - centre
        loss = np.sum(np.logaddexp(0.0, scores) - target * scores) / overlap
        gradient = inputs.T @ (expit(scores) - target) / overlap
        return float(loss + 0.5 * precision @ shift**2), gradient + precision * shift

    fit = minimize(
        penalised_loss,
        centre,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None), (0, None), (None, None)],
    )
    probability = expit(inputs @ fit.x)
    information = inputs.T @ (inputs * (probability * (1 - probability) / overlap)[:, None])
    occam = np.linalg.slogdet(information + np.diag(precision))[1] - np.log(precision).sum()
    return float(-fit.fun - 0.5 * occam), fit.x


def fit_platt(
    probability: np.ndarray, reference_logit: np.ndarray, labels: np.ndarray, overlap: int
) -> PlattCalibration:
    """Fit a logistic curve over the candidate's log odds; its anchor and `overlap` say nothing.

    Raises UnscoredCandidate for labels of one class.
    """
    _require_both_classes(labels, "platt")
    curve = LogisticRegression().fit(clipped_logit(probability).reshape(-1, 1), labels)
    return PlattCalibration(float(curve.coef_[0, 0]), float(curve.intercept_[0]))


def fit_isotonic(
    probability: np.ndarray, reference_logit: np.ndarray, labels: np.ndarray, overlap: int
) -> IsotonicCalibration:
    """Fit a rising line over the candidate's probability; its anchor and `overlap` say nothing.

    Raises UnscoredCandidate for labels of one class.
    """
    _require_both_classes(labels, "isotonic")
    line = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probability, labels)
    return IsotonicCalibration(
        tuple(map(float, line.X_thresholds_)), tuple(map(float, line.y_thresholds_))
    )


Fitter = Callable[[np.ndarray, np.ndarray, np.ndarray, int], Calibration]

CALIBRATION_FITTERS: Mapping[str, Fitter] = MappingProxyType(
    {"anchored": fit_anchored, "platt": fit_platt, "isotonic": fit_isotonic}
)


def _require_both_classes(labels: np.ndarray, kind: str) -> None:
    if len(np.unique(labels)) < 2:
        raise UnscoredCandidate(
            f"{kind} calibration needs earlier rows of both classes, got {len(labels)} rows; "
            "train on more rows or use the anchored calibration"
        )
