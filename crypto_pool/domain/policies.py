"""Evaluation policies: which rows train a candidate, and which rows judge it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from crypto_pool.domain.candidates import Candidate
from crypto_pool.domain.evaluation import Metric
from crypto_pool.domain.fitting import (
    TrainedCandidate,
    evaluation_rows,
    fit_candidate,
    measure_candidate,
    positive_probability,
)
from crypto_pool.domain.recipe import DEFAULT_RECIPE, Recipe
from crypto_pool.domain.served_model import ServedModel
from crypto_pool.domain.thresholds import DEFAULT_THRESHOLD
from crypto_pool.domain.training import TrainingTable, served_rows
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

    def evaluate(
        self, candidate: Candidate | None, table: TrainingTable, *, with_model: bool = True
    ) -> TrainedCandidate:
        """Fit and score a candidate, or score the baseline where it is None.

        Without the model that serves, nothing is fitted for that alone; no figure is another.
        Raises UnscoredCandidate where the rows do not allow it.
        """
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

    def evaluate(
        self, candidate: Candidate | None, table: TrainingTable, *, with_model: bool = True
    ) -> TrainedCandidate:
        """Fit on the first rows and score on the last, without refit."""
        boundary = int(len(table) * self.train_fraction)
        if not 0 < boundary < len(table):
            name = table.baseline if candidate is None else candidate.name
            raise UnscoredCandidate(
                f"{name}: {len(table)} labelled rows cannot be split "
                f"{self.train_fraction:g} to {1 - self.train_fraction:g}; train on more rows"
            )
        training, test = slice(boundary), slice(boundary, None)
        model = ServedModel.baseline(table.baseline, table.feature_names)
        notes: tuple[str, ...] = ()
        if candidate is not None:
            estimator, notes = fit_candidate(
                candidate, table.features[training], table.labels[training], self.recipe
            )
            positive_probability(candidate, estimator, table.features[test])
            from crypto_pool.domain.calibrations import IdentityCalibration

            model = ServedModel(
                candidate.name, IdentityCalibration(), table.feature_names, estimator
            )
        evaluation = evaluation_rows(
            table,
            test,
            probability=model.predict_probability(served_rows(table)[test]),
            decision_threshold=DEFAULT_THRESHOLD,
            fold=1,
        )
        return measure_candidate(
            model, table, self.recipe, evaluation, DEFAULT_THRESHOLD, training, notes, with_model
        )

    def rank(self, metrics: Mapping[str, Metric]) -> float:
        """Rank by overall_score."""
        score = metrics["overall_score"]
        return float("-inf") if score is None else float(score)


def policy_of(recipe: Recipe) -> EvaluationPolicy:
    """Return the evaluation policy of a recipe."""
    if recipe.evaluation_policy == HoldoutPolicy.name:
        return HoldoutPolicy(recipe)
    from crypto_pool.domain.purged import PurgedWalkForwardPolicy

    return PurgedWalkForwardPolicy(recipe)
