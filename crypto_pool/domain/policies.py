"""Evaluation policies: which rows train a candidate, and which rows judge it."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from crypto_pool.domain.candidates import Candidate, ClassBalance
from crypto_pool.domain.evaluation import Metric, Metrics
from crypto_pool.domain.promise import Promise, measure_promise
from crypto_pool.domain.reference import logit
from crypto_pool.domain.thresholds import DEFAULT_THRESHOLD
from crypto_pool.domain.training import TrainingTable
from crypto_pool.errors import InvalidSetting, UnscoredCandidate

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


class EvaluationPolicy(Protocol):
    """Fits and judges one candidate, and says what makes one better than another."""

    @property
    def name(self) -> str:
        """The setting that selects it."""
        ...

    def evaluate(self, candidate: Candidate, table: TrainingTable, seed: int) -> FittedCandidate:
        """Fit and score; raises UnscoredCandidate where the rows do not allow it."""
        ...

    def rank(self, metrics: Mapping[str, Metric]) -> float:
        """Give the candidate's standing; higher is better."""
        ...


@dataclass(frozen=True)
class HoldoutPolicy:
    """The first rows train, the last are the test, and the model serves as trained."""

    train_fraction: float = 0.95
    horizon: int = 10
    name: ClassVar[str] = "holdout"

    def evaluate(self, candidate: Candidate, table: TrainingTable, seed: int) -> FittedCandidate:
        """Fit on the first rows and score on the last, without refit."""
        from crypto_pool.domain.calibration import IdentityCalibration

        boundary = int(len(table) * self.train_fraction)
        if not 0 < boundary < len(table):
            raise UnscoredCandidate(
                f"{candidate.name}: {len(table)} labelled rows cannot be split "
                f"{self.train_fraction:g} to {1 - self.train_fraction:g}; train on more rows"
            )
        training, test = table.features.iloc[:boundary], table.features.iloc[boundary:]
        labels = table.labels[:boundary]
        balance = ClassBalance.of(labels)
        class_weights = balance.weights
        estimator, notes = fit_with_notes(candidate.build(balance, seed), training, labels)
        probability = positive_probability(candidate, estimator, test)
        calibration = IdentityCalibration()
        reference = table.reference_probability[boundary:]
        evaluation = pd.DataFrame(
            {
                "label": table.labels[boundary:],
                "probability": calibration.apply(
                    probability, logit(pd.Series(reference)).to_numpy()
                ),
                "reference_probability": reference,
                "decision_threshold": DEFAULT_THRESHOLD,
                "fold": 1,
            },
            index=test.index,
        )
        return FittedCandidate(
            estimator=estimator,
            calibration=calibration,
            decision_threshold=DEFAULT_THRESHOLD,
            trained_through=training.index[-1],
            chosen_through=test.index[-1],
            promise=measure_promise(evaluation, self.horizon),
            class_weights=class_weights,
            evaluation=evaluation,
            background=spread_rows(training, BACKGROUND_ROWS),
            notes=notes,
        )

    def rank(self, metrics: Mapping[str, Metric]) -> float:
        """Rank by overall_score."""
        score = metrics["overall_score"]
        return float("-inf") if score is None else float(score)


def policy_from_name(
    name: str, *, horizon: int = 10, calibration: str = "anchored"
) -> EvaluationPolicy:
    """Give the policy a setting names; raises InvalidSetting.

    `calibration` is what purged_walk_forward learns; holdout serves candidates as they are.
    """
    from crypto_pool.domain.purged import PurgedWalkForwardPolicy

    policies: dict[str, EvaluationPolicy] = {
        PurgedWalkForwardPolicy.name: PurgedWalkForwardPolicy(horizon, calibration),
        HoldoutPolicy.name: HoldoutPolicy(horizon=horizon),
    }
    if name not in policies:
        raise InvalidSetting(f"evaluation policy {name!r} is unknown; known: {', '.join(policies)}")
    return policies[name]


def positive_probability(candidate: Candidate, estimator: Any, rows: pd.DataFrame) -> np.ndarray:
    """Give the estimator's probability of class 1; raises UnscoredCandidate if not finite."""
    probability = np.asarray(estimator.predict_proba(rows), dtype=np.float64)[:, 1]
    if not np.isfinite(probability).all():
        raise UnscoredCandidate(
            f"{candidate.name}: {int((~np.isfinite(probability)).sum())} of {len(rows)} "
            "probabilities are not finite"
        )
    return probability


def spread_rows(rows: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Take up to `limit` rows, evenly over time, the first and the last among them."""
    if len(rows) <= limit:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, limit).round().astype(int)]


def fit_with_notes(
    estimator: Any, rows: pd.DataFrame, labels: np.ndarray
) -> tuple[Any, tuple[str, ...]]:
    """Fit, and keep what the library or the calibration had to say about it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(rows, labels)
    notes = [f"{warning.category.__name__}: {warning.message}" for warning in caught]
    skipped = getattr(estimator, "skipped_folds_", ())
    if skipped:
        notes.append(f"{len(skipped)} calibration folds skipped: one class in their training rows")
    return estimator, tuple(dict.fromkeys(notes))
