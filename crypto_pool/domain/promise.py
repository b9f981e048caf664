"""What an evaluation promises: figures, how sure they are, and the reference's beside them."""

from dataclasses import dataclass

import pandas as pd

from crypto_pool.domain.evaluation import Metrics, brier_skill, evaluation_metrics
from crypto_pool.domain.intervals import Interval, effective_sample_size, metric_intervals
from crypto_pool.domain.label_windows import purge_gap

FOLD_METRICS = ("brier_score", "precision", "overall_score", "base_rate", "slice_size")


@dataclass(frozen=True)
class Promise:
    """Metrics of the served probabilities, of the reference, and fold by fold.

    `intervals` are 90 % block-bootstrap intervals by metric; `folds` holds for each fold
    the metrics that are worth following through time, the reference's Brier score too.
    """

    metrics: Metrics
    reference_metrics: Metrics
    intervals: dict[str, Interval | None]
    folds: dict[int, Metrics]


def measure_promise(evaluation: pd.DataFrame, horizon: int) -> Promise:
    """Measure an evaluation frame, each row at its own decision threshold."""
    overlap = purge_gap(horizon)
    reference = evaluation_metrics(evaluation, "reference_probability")
    metrics = evaluation_metrics(evaluation)
    metrics["skill_over_reference"] = brier_skill(metrics["brier_score"], reference["brier_score"])
    metrics["effective_sample_size"] = effective_sample_size(len(evaluation), overlap)
    return Promise(
        metrics=metrics,
        reference_metrics=reference,
        intervals=metric_intervals(evaluation, overlap),
        folds={
            int(str(number)): _fold_metrics(rows) for number, rows in evaluation.groupby("fold")
        },
    )


def bounds_by_name(promise: Promise) -> Metrics:
    """Give the ends of all intervals as metrics named `<metric>_low` and `<metric>_high`."""
    bounds: Metrics = {}
    for name, interval in promise.intervals.items():
        low, high = interval or (None, None)
        bounds |= {f"{name}_low": low, f"{name}_high": high}
    return bounds


def _fold_metrics(rows: pd.DataFrame) -> Metrics:
    metrics = evaluation_metrics(rows)
    reference = evaluation_metrics(rows, "reference_probability")
    return {
        **{name: metrics[name] for name in FOLD_METRICS},
        "reference_brier_score": reference["brier_score"],
    }
