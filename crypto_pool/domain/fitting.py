"""Fit one candidate: what both evaluation policies share, and what comes out of either."""

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crypto_pool.domain.candidates import Candidate, ClassBalance
from crypto_pool.domain.evaluation import Metrics
from crypto_pool.domain.promise import Promise
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.splits import purge_gap
from crypto_pool.errors import UnscoredCandidate

if TYPE_CHECKING:
    from crypto_pool.domain.calibration import Calibration

BACKGROUND_ROWS = 200


@dataclass(frozen=True)
class FittedCandidate:
    """A candidate as it would serve, and what was measured of it.

    `trained_through` is the bar date of the last row the estimator was fitted on,
    `chosen_through` of the last row it was judged on. `evaluation` holds the rows the
    metrics are measured on, by bar date: label, probability (as served),
    reference_probability, decision_threshold and fold. `background` are training rows
    spread over time, for explanations.
    """

    estimator: Any
    calibration: "Calibration"
    decision_threshold: float
    trained_through: pd.Timestamp
    chosen_through: pd.Timestamp
    promise: Promise
    class_weights: dict[int, float]
    evaluation: pd.DataFrame
    background: pd.DataFrame
    notes: tuple[str, ...] = field(default=())

    @property
    def metrics(self) -> Metrics:
        """What was measured of the served probabilities."""
        return self.promise.metrics

    @property
    def reference_metrics(self) -> Metrics:
        """What was measured of the reference on the same rows."""
        return self.promise.reference_metrics


def positive_probability(candidate: Candidate, estimator: Any, rows: pd.DataFrame) -> np.ndarray:
    """Return the estimator's probability of class 1; raises UnscoredCandidate if not finite."""
    probability = np.asarray(estimator.predict_proba(rows), dtype=np.float64)[:, 1]
    if not np.isfinite(probability).all():
        raise UnscoredCandidate(
            f"{candidate.name}: {int((~np.isfinite(probability)).sum())} of {len(rows)} "
            "probabilities are not finite"
        )
    return probability


def subsample(rows: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Take up to `limit` rows, evenly over time, the first and the last among them."""
    if len(rows) <= limit:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, limit).round().astype(int)]


def fit_candidate(
    candidate: Candidate, rows: pd.DataFrame, labels: np.ndarray, recipe: Recipe
) -> tuple[Any, tuple[str, ...]]:
    """Fit on rows in time order; return the estimator and what was warned of.

    Where it calibrates itself on folds of its own, they leave the gap of the recipe's horizon.
    Raises UnscoredCandidate for rows of one class, which not every estimator refuses.
    """
    balance = ClassBalance.of(labels)
    balance.require_both()
    estimator = candidate.build(balance, recipe.seed)
    if "gap" in estimator.get_params(deep=False):
        estimator.set_params(gap=purge_gap(recipe.horizon))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(rows, labels)
    notes = [f"{warning.category.__name__}: {warning.message}" for warning in caught]
    skipped = getattr(estimator, "skipped_folds_", ())
    if skipped:
        notes.append(f"{len(skipped)} calibration folds skipped: one class in their training rows")
    return estimator, tuple(dict.fromkeys(notes))
