"""Evaluation policies: which rows train a candidate, and which rows judge it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import pandas as pd

from crypto_pool.domain.calibration import IdentityCalibration
from crypto_pool.domain.candidates import Candidate, ClassBalance
from crypto_pool.domain.evaluation import Metric
from crypto_pool.domain.fitting import (
    BACKGROUND_ROWS,
    FittedCandidate,
    fit_candidate,
    positive_probability,
    subsample,
)
from crypto_pool.domain.promise import measure_promise
from crypto_pool.domain.purged import PurgedWalkForwardPolicy
from crypto_pool.domain.recipe import DEFAULT_RECIPE, Recipe
from crypto_pool.domain.reference import logit
from crypto_pool.domain.thresholds import DEFAULT_THRESHOLD
from crypto_pool.domain.training import TrainingTable
from crypto_pool.errors import UnscoredCandidate


class EvaluationPolicy(Protocol):
    """Fits and judges one candidate, and says what makes one better than another."""

    @property
    def recipe(self) -> Recipe:
        """How models are made."""
        ...

    @property
    def name(self) -> str:
        """The setting that selects it."""
        ...

    def evaluate(self, candidate: Candidate, table: TrainingTable) -> FittedCandidate:
        """Fit and score; raises UnscoredCandidate where the rows do not allow it."""
        ...

    def rank(self, metrics: Mapping[str, Metric]) -> float:
        """Give the candidate's standing; higher is better."""
        ...


@dataclass(frozen=True)
class HoldoutPolicy:
    """The first rows train, the last are the test, and the model serves as trained."""

    recipe: Recipe = DEFAULT_RECIPE
    train_fraction: float = 0.95
    name: ClassVar[str] = "holdout"

    def evaluate(self, candidate: Candidate, table: TrainingTable) -> FittedCandidate:
        """Fit on the first rows and score on the last, without refit."""
        boundary = int(len(table) * self.train_fraction)
        if not 0 < boundary < len(table):
            raise UnscoredCandidate(
                f"{candidate.name}: {len(table)} labelled rows cannot be split "
                f"{self.train_fraction:g} to {1 - self.train_fraction:g}; train on more rows"
            )
        training, test = table.features.iloc[:boundary], table.features.iloc[boundary:]
        labels = table.labels[:boundary]
        estimator, notes = fit_candidate(candidate, training, labels, self.recipe)
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
            promise=measure_promise(evaluation, self.recipe.horizon),
            class_weights=ClassBalance.of(labels).weights,
            evaluation=evaluation,
            background=subsample(training, BACKGROUND_ROWS),
            notes=notes,
        )

    def rank(self, metrics: Mapping[str, Metric]) -> float:
        """Rank by overall_score."""
        score = metrics["overall_score"]
        return float("-inf") if score is None else float(score)


def policy_of(recipe: Recipe) -> EvaluationPolicy:
    """Return the evaluation policy of a recipe."""
    if recipe.evaluation_policy == HoldoutPolicy.name:
        return HoldoutPolicy(recipe)
    return PurgedWalkForwardPolicy(recipe)
