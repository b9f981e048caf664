"""The default policy: every promise is measured on forecasts made as the pool would have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from crypto_pool.domain.calibration import MIN_FOLDS
from crypto_pool.domain.calibration_fitting import CALIBRATION_FITTERS
from crypto_pool.domain.calibrations import AnchoredCalibration, Calibration
from crypto_pool.domain.candidates import Candidate
from crypto_pool.domain.evaluation import Metric
from crypto_pool.domain.fitting import (
    TrainedCandidate,
    evaluation_rows,
    fit_candidate,
    measure_candidate,
    positive_probability,
)
from crypto_pool.domain.label_windows import purge_gap
from crypto_pool.domain.recipe import DEFAULT_RECIPE, Recipe
from crypto_pool.domain.served_model import ServedModel
from crypto_pool.domain.splits import Fold, purged_mask, walk_forward_folds
from crypto_pool.domain.thresholds import choose_threshold
from crypto_pool.domain.training import TrainingTable
from crypto_pool.errors import UnscoredCandidate


@dataclass(frozen=True)
class PurgedWalkForwardPolicy:
    """Expanding folds; what calibrates and judges a fold was known before the fold began.

    The first fold only teaches the calibration and the threshold of the next; the promise
    is measured on the others. What serves is fitted on every labelled row, its calibration
    and threshold on every out-of-fold row.
    """

    recipe: Recipe = DEFAULT_RECIPE
    name: ClassVar[str] = "purged_walk_forward"

    def evaluate(
        self, candidate: Candidate | None, table: TrainingTable, *, with_model: bool = True
    ) -> TrainedCandidate:
        """Score on the folds, then fit on everything; None is the baseline, which is not fitted.

        Raises UnscoredCandidate.
        """
        name = table.baseline if candidate is None else candidate.name
        scored, notes = self._out_of_fold(candidate, table, name)
        evaluation, unscored = self._judge(candidate, scored)
        notes = [*notes, *unscored]
        if evaluation.empty:
            raise UnscoredCandidate(f"{name}: no fold could be judged: {notes[-1]}")
        calibration, threshold = self._learn(candidate, scored)
        estimator = None
        if candidate is not None and with_model:
            estimator, warnings = fit_candidate(
                candidate, table.features, table.labels, self.recipe
            )
            notes += warnings
        model = ServedModel(name, calibration, table.feature_names, estimator, table.anchor)
        return measure_candidate(
            model,
            table,
            self.recipe,
            evaluation,
            threshold,
            slice(None),
            tuple(dict.fromkeys(notes)),
            with_model,
        )

    def rank(self, metrics: Mapping[str, Metric]) -> float:
        """Rank by the Brier score, lower is better, less the reference's on the same rows.

        On the same rows that changes no order; a candidate that lost a fold is thereby
        not compared on easier rows than the others.
        """
        brier = metrics["brier_score"]
        if brier is None:
            return float("-inf")
        return float(metrics.get("reference_brier_score") or 0.0) - float(brier)

    def _out_of_fold(
        self, candidate: Candidate | None, table: TrainingTable, name: str
    ) -> tuple[pd.DataFrame, list[str]]:
        """Give for each fold's test rows the probability of a fit on the rows before."""
        parts: list[pd.DataFrame] = []
        notes: list[str] = []
        for fold in walk_forward_folds(table.index, self.recipe.horizon):
            try:
                parts.append(self._score_fold(candidate, table, fold, notes))
            except UnscoredCandidate as error:
                notes.append(f"fold {fold.number} skipped: {error}")
        if len(parts) < MIN_FOLDS:
            raise UnscoredCandidate(
                f"{name}: {len(parts)} folds could be scored, at least {MIN_FOLDS} are "
                f"needed; train on more rows ({'; '.join(notes)})"
            )
        return pd.concat(parts), notes

    def _score_fold(
        self, candidate: Candidate | None, table: TrainingTable, fold: Fold, notes: list[str]
    ) -> pd.DataFrame:
        test = fold.test[np.isfinite(table.anchor_logit[fold.test])]
        if not len(test):
            raise UnscoredCandidate("none of its days has a panel forecast")
        own = table.anchor_probability[test]
        if candidate is not None:
            rows = table.features.iloc[fold.train]
            estimator, warnings = fit_candidate(
                candidate, rows, table.labels[fold.train], self.recipe
            )
            notes.extend(warnings)
            own = positive_probability(candidate, estimator, table.features.iloc[test])
        return evaluation_rows(
            table, test, candidate=own, anchor_logit=table.anchor_logit[test], fold=fold.number
        )

    def _judge(
        self, candidate: Candidate | None, scored: pd.DataFrame
    ) -> tuple[pd.DataFrame, list[str]]:
        """Calibrate each fold but the first by what was known before it began."""
        parts: list[pd.DataFrame] = []
        notes: list[str] = []
        for number in scored["fold"].unique()[1:]:
            test = scored[scored["fold"] == number]
            earlier = scored[
                (scored["fold"] < number)
                & purged_mask(pd.DatetimeIndex(scored.index), test.index[0], self.recipe.horizon)
            ]
            try:
                calibration, threshold = self._learn(candidate, earlier)
            except UnscoredCandidate as error:
                notes.append(f"fold {number} not judged: {error}")
                continue
            served = _served(calibration, test)
            parts.append(
                test.drop(columns=["candidate", "anchor_logit"]).assign(
                    probability=served, decision_threshold=threshold
                )
            )
        return pd.concat(parts) if parts else pd.DataFrame(), notes

    def _learn(self, candidate: Candidate | None, rows: pd.DataFrame) -> tuple[Calibration, float]:
        labels = rows["label"].to_numpy()
        calibration: Calibration = AnchoredCalibration()
        if candidate is not None:
            calibration = CALIBRATION_FITTERS[self.recipe.calibration](
                rows["candidate"].to_numpy(),
                rows["anchor_logit"].to_numpy(),
                labels,
                purge_gap(self.recipe.horizon),
            )
        return calibration, choose_threshold(labels, _served(calibration, rows))


def _served(calibration: Calibration, rows: pd.DataFrame) -> np.ndarray:
    return calibration.apply(rows["candidate"].to_numpy(), rows["anchor_logit"].to_numpy())
