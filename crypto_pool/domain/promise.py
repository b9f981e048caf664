"""What an evaluation measured: figures, how sure they are, and the reference's beside them."""

import pandas as pd

from crypto_pool.domain.evaluation import Metrics, brier_skill, evaluation_metrics
from crypto_pool.domain.intervals import effective_sample_size, metric_intervals
from crypto_pool.domain.label_windows import purge_gap

FOLD_METRICS = ("brier_score", "precision", "overall_score", "base_rate", "slice_size")


def measured_metrics(evaluation: pd.DataFrame, horizon: int) -> Metrics:
    """Return the metrics of an evaluation frame, each row at its own decision threshold.

    The ends of 90 % block-bootstrap intervals are named `<metric>_low` and `<metric>_high`, and
    the reference's metrics `reference_<metric>`.
    """
    overlap = purge_gap(horizon)
    reference = evaluation_metrics(evaluation, "reference_probability")
    metrics = evaluation_metrics(evaluation)
    metrics["skill_over_reference"] = brier_skill(metrics["brier_score"], reference["brier_score"])
    metrics["effective_sample_size"] = effective_sample_size(len(evaluation), overlap)
    for name, interval in metric_intervals(evaluation, overlap).items():
        metrics[f"{name}_low"], metrics[f"{name}_high"] = interval or (None, None)
    return metrics | {f"reference_{name}": value for name, value in reference.items()}


def metrics_by_fold(evaluation: pd.DataFrame) -> dict[int, Metrics]:
    """Return by fold the metrics worth following through time, the reference's Brier score too."""
    folds: dict[int, Metrics] = {}
    for number, rows in evaluation.groupby("fold"):
        own, reference = evaluation_metrics(rows), evaluation_metrics(rows, "reference_probability")
        folds[int(str(number))] = {
            **{name: own[name] for name in FOLD_METRICS},
            "reference_brier_score": reference["brier_score"],
        }
    return folds
