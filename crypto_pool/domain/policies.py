"""Evaluation policies: which rows train a candidate, and which rows judge it."""

from crypto_pool.domain.candidates import Candidate
from crypto_pool.domain.fitting import (
    TrainedCandidate,
    evaluation_rows,
    fit_candidate,
    measure_candidate,
)
from crypto_pool.domain.recipe import DEFAULT_RECIPE, Recipe
from crypto_pool.domain.served_model import ServedModel, positive_probability
from crypto_pool.domain.signal_threshold import DEFAULT_THRESHOLD
from crypto_pool.domain.training import TrainingTable, served_rows
from crypto_pool.errors import UnscoredCandidate

TRAIN_FRACTION = 0.95


def evaluate(
    candidate: Candidate | None,
    table: TrainingTable,
    recipe: Recipe = DEFAULT_RECIPE,
    *,
    with_model: bool = True,
) -> TrainedCandidate:
    """Fit and score a candidate by the recipe's policy, or score the baseline where it is None.

    Without the model that serves, nothing is fitted for that alone; no figure is another.
    Raises UnscoredCandidate where the rows do not allow it.
    """
    if recipe.is_classic:
        return _evaluate_holdout(candidate, table, recipe, with_model)
    from crypto_pool.domain.purged import evaluate_purged

    return evaluate_purged(candidate, table, recipe, with_model)


def _evaluate_holdout(
    candidate: Candidate | None, table: TrainingTable, recipe: Recipe, with_model: bool
) -> TrainedCandidate:
    """Fit on the first rows and score on the last; the model serves as trained, without refit."""
    boundary = int(len(table) * TRAIN_FRACTION)
    if not 0 < boundary < len(table):
        name = table.baseline if candidate is None else candidate.name
        raise UnscoredCandidate(
            f"{name}: {len(table)} labelled rows cannot be split "
            f"{TRAIN_FRACTION:g} to {1 - TRAIN_FRACTION:g}; train on more rows"
        )
    training, test = slice(boundary), slice(boundary, None)
    model = ServedModel.baseline(table.baseline, table.feature_names)
    notes: tuple[str, ...] = ()
    if candidate is not None:
        from crypto_pool.domain.calibrations import IdentityCalibration

        estimator, notes = fit_candidate(
            candidate, table.features[training], table.labels[training], recipe
        )
        positive_probability(candidate.name, estimator, table.features[test].copy())
        model = ServedModel(candidate.name, IdentityCalibration(), table.feature_names, estimator)
    evaluation = evaluation_rows(
        table,
        test,
        probability=model.predict_probability(served_rows(table)[test]),
        decision_threshold=DEFAULT_THRESHOLD,
        fold=1,
    )
    return measure_candidate(
        model, table, recipe, evaluation, DEFAULT_THRESHOLD, training, notes, with_model
    )
