"""Fit one candidate: what both evaluation policies share, and what comes out of either."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crypto_pool.domain.candidates import Candidate, ClassBalance
from crypto_pool.domain.evaluation import Metric, Metrics
from crypto_pool.domain.label_windows import purge_gap
from crypto_pool.domain.promise import measured_metrics, metrics_by_fold
from crypto_pool.domain.recipe import DEFAULT_RECIPE, Recipe
from crypto_pool.domain.served_model import ServedModel
from crypto_pool.errors import UnscoredCandidate

if TYPE_CHECKING:
    from crypto_pool.domain.training import TrainingTable

BACKGROUND_ROWS = 200
# What an anchored calibration gives the candidate's own log odds.
WEIGHT = "candidate_weight"


@dataclass(frozen=True, eq=False)
class TrainedCandidate:
    """One algorithm, or a baseline, trained for one member: as it would serve, and as measured.

    `trained_through` is the bar date of the last row the estimator was fitted on,
    `chosen_through` of the last row it was judged on. `metrics` holds what was measured, the
    reference's figures by their names with `reference_` before them, and the ends of intervals
    as `<metric>_low` and `<metric>_high`. `evaluation` holds the rows behind them, by bar date:
    label, probability (as served), reference_probability, baseline_probability,
    decision_threshold and fold. `model` is None where it was not asked for, or lies in MLflow
    under `run_id` and was not loaded; `model_hashes` are the SHA-256 of its files,
    `hyper_parameters` what its estimator was built with, as the run tells it.
    """

    algorithm: str
    decision_threshold: float
    trained_through: pd.Timestamp
    chosen_through: pd.Timestamp
    metrics: Mapping[str, Metric]
    evaluation: pd.DataFrame
    recipe: Recipe = DEFAULT_RECIPE
    model: ServedModel | None = None
    folds: Mapping[int, Metrics] = field(default_factory=dict)
    class_weights: Mapping[int, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    member_name: str = ""
    as_of: date = date.min
    data_hash: str = ""
    code_version: str = ""
    synthetic: bool = False
    run_id: str = ""
    model_hashes: Mapping[str, str] = field(default_factory=dict)
    hyper_parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def served(self) -> ServedModel:
        """The model; raises UnscoredCandidate where it was not loaded."""
        if self.model is None:
            raise UnscoredCandidate(f"{self.algorithm}: the model of run {self.run_id} is stored")
        return self.model


def measure_candidate(
    model: ServedModel,
    table: "TrainingTable",
    recipe: Recipe,
    evaluation: pd.DataFrame,
    decision_threshold: float,
    fitted: slice,
    notes: tuple[str, ...] = (),
    with_model: bool = True,
) -> TrainedCandidate:
    """Return a candidate with what its evaluation rows promise; `fitted` are its table rows."""
    added = (evaluation["probability"] - evaluation["baseline_probability"]).abs().mean()
    return TrainedCandidate(
        algorithm=model.algorithm,
        decision_threshold=decision_threshold,
        trained_through=table.index[fitted][-1],
        chosen_through=evaluation.index[-1],
        metrics={
            **measured_metrics(evaluation, recipe.horizon),
            "added_points": 100 * float(added),
            WEIGHT: getattr(model.calibration, WEIGHT, None),
        },
        evaluation=evaluation,
        recipe=recipe,
        model=model if with_model else None,
        folds=metrics_by_fold(evaluation),
        class_weights=ClassBalance.of(table.labels[fitted]).weights,
        notes=notes,
    )


def evaluation_rows(table: "TrainingTable", rows: Any, **columns: Any) -> pd.DataFrame:
    """Return rows of a table as they are judged: what forecasts are held against, and `columns`."""
    return pd.DataFrame(
        {
            "label": table.labels[rows],
            **columns,
            "reference_probability": table.reference_probability[rows],
            "baseline_probability": table.anchor_probability[rows],
        },
        index=table.index[rows],
    )


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
        estimator.fit(rows.copy(), labels.copy())  # an extension's may write into them
    notes = [f"{warning.category.__name__}: {warning.message}" for warning in caught]
    skipped = getattr(estimator, "skipped_folds_", ())
    if skipped:
        notes.append(f"{len(skipped)} calibration folds skipped: one class in their training rows")
    return estimator, tuple(dict.fromkeys(notes))
