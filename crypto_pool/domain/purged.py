"""The default policy: every promise is measured on forecasts made as the pool would have.

On expanding folds, and what calibrates and judges a fold was known before the fold began. The
first fold only teaches the calibration and the threshold of the next; the promise is measured on
the others. What serves is fitted on every labelled row, its calibration and threshold on every
out-of-fold row.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crypto_pool.domain.calibration import MIN_FOLDS
from crypto_pool.domain.calibration_fitting import CALIBRATION_FITTERS
from crypto_pool.domain.calibrations import AnchoredCalibration, Calibration
from crypto_pool.domain.candidates import Candidate
from crypto_pool.domain.fitting import (
    TrainedCandidate,
    evaluation_rows,
    fit_candidate,
    measure_candidate,
)
from crypto_pool.domain.label_windows import purge_gap
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.served_model import ServedModel, positive_probability
from crypto_pool.domain.signal_threshold import choose_threshold
from crypto_pool.domain.splits import Fold, purged_mask, walk_forward_folds
from crypto_pool.domain.training import TrainingTable
from crypto_pool.errors import UnscoredCandidate


def evaluate_purged(
    candidate: Candidate | None, table: TrainingTable, recipe: Recipe, with_model: bool
) -> TrainedCandidate:
    """Score on the folds, then fit on everything; None is the baseline, which is not fitted.

    Raises UnscoredCandidate.
    """
    name = table.baseline if candidate is None else candidate.name
    notes: list[str] = []
    scored = _out_of_fold(candidate, table, recipe, name, notes)
    evaluation = _judge(candidate, scored, recipe, notes)
    if evaluation.empty:
        raise UnscoredCandidate(f"{name}: no fold could be judged: {notes[-1]}")
    calibration, threshold = _learn(candidate, _arrays(scored), recipe)
    estimator = None
    if candidate is not None and with_model:
        estimator, warnings = fit_candidate(candidate, table.features, table.labels, recipe)
        notes += warnings
    model = ServedModel(name, calibration, table.feature_names, estimator, table.anchor)
    once = tuple(dict.fromkeys(notes))
    # A baseline is fitted on nothing: the last row that it was judged on is its last.
    through = None if candidate is not None else evaluation.index[-1]
    fitted = table.index.slice_indexer(None, through)
    return measure_candidate(model, table, recipe, evaluation, threshold, fitted, once, with_model)


def _out_of_fold(
    candidate: Candidate | None, table: TrainingTable, recipe: Recipe, name: str, notes: list[str]
) -> pd.DataFrame:
    """Return for each fold's test rows the probability of a fit on the rows before."""
    parts: list[tuple[int, np.ndarray, np.ndarray]] = []
    for fold in walk_forward_folds(table.index, recipe.horizon):
        try:
            parts.append((fold.number, *_score_fold(candidate, table, fold, recipe, notes)))
        except UnscoredCandidate as error:
            notes.append(f"fold {fold.number} skipped: {error}")
    if len(parts) < MIN_FOLDS:
        raise UnscoredCandidate(
            f"{name}: {len(parts)} folds could be scored, at least {MIN_FOLDS} are "
            f"needed; train on more rows ({'; '.join(notes)})"
        )
    numbers, rows, own = zip(*parts, strict=True)
    every = np.concatenate(rows)
    return evaluation_rows(
        table,
        every,
        candidate=np.concatenate(own),
        anchor_logit=table.anchor_logit[every],
        fold=np.repeat(numbers, list(map(len, rows))),
    )


def _score_fold(
    candidate: Candidate | None, table: TrainingTable, fold: Fold, recipe: Recipe, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of a fold's test rows, and the probability of a fit there."""
    test = fold.test[np.isfinite(table.anchor_logit[fold.test])]
    if not len(test):
        raise UnscoredCandidate("none of its days has a panel forecast")
    if candidate is None:
        return test, table.anchor_probability[test]
    rows = table.features.iloc[fold.train]
    estimator, warnings = fit_candidate(candidate, rows, table.labels[fold.train], recipe)
    notes.extend(warnings)
    return test, positive_probability(candidate.name, estimator, table.features.iloc[test])


def _judge(
    candidate: Candidate | None, scored: pd.DataFrame, recipe: Recipe, notes: list[str]
) -> pd.DataFrame:
    """Calibrate each fold but the first by what was known before it began."""
    folds, columns = scored["fold"].to_numpy(), _arrays(scored)
    index = pd.DatetimeIndex(scored.index)
    probability, thresholds = np.full((2, len(scored)), np.nan)
    for number in np.unique(folds)[1:]:
        test = folds == number
        earlier = (folds < number) & purged_mask(index, index[test][0], recipe.horizon)
        try:
            calibration, threshold = _learn(candidate, [one[earlier] for one in columns], recipe)
        except UnscoredCandidate as error:
            notes.append(f"fold {number} not judged: {error}")
            continue
        _, own, anchor = (one[test] for one in columns)
        probability[test], thresholds[test] = calibration.apply(own, anchor), threshold
    judged = scored.assign(probability=probability, decision_threshold=thresholds)
    known = judged.dropna(subset=["decision_threshold"])
    return known.drop(columns=["candidate", "anchor_logit"])


def _arrays(rows: pd.DataFrame) -> list[np.ndarray]:
    return [rows[name].to_numpy() for name in ("label", "candidate", "anchor_logit")]


def _learn(
    candidate: Candidate | None, columns: Sequence[np.ndarray], recipe: Recipe
) -> tuple[Calibration, float]:
    """Learn from labels, the candidate's probability and the anchor's log odds."""
    labels, own, anchor = columns
    calibration: Calibration = AnchoredCalibration()
    if candidate is not None:
        fit = CALIBRATION_FITTERS[recipe.calibration]
        calibration = fit(own, anchor, labels, purge_gap(recipe.horizon))
    return calibration, choose_threshold(labels, calibration.apply(own, anchor))
