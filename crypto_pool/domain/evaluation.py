"""What a forecast is worth on an evaluation slice, and what lets it serve."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, overload

import numpy as np
import pandas as pd

Metric = float | int | None
Metrics = dict[str, Metric]

LOG_LOSS_FLOOR = 1e-15
OVERALL_SCORE_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"accuracy": 0.1, "precision": 0.4, "negative_accuracy": 0.2, "positive_accuracy": 0.3}
)


def classification_metrics(
    labels: np.ndarray, probabilities: np.ndarray, threshold: float | np.ndarray
) -> Metrics:
    """Score probabilities of class 1 against 0/1 labels, by row; what is undefined is None.

    A row is flagged where its probability is above the threshold, one for all or one a
    row. None counts as 0 in `overall_score`, which itself is None for an empty slice.
    """
    positive = np.asarray(labels).astype(bool)
    probability = np.asarray(probabilities, dtype=np.float64)
    flagged = probability > threshold
    rows, positives, signals = len(positive), int(positive.sum()), int(flagged.sum())
    hits = int(np.sum(flagged & positive))
    rates = confusion_rates(*map(np.float64, (hits, signals, positives, rows)))
    return {
        **{name: None if np.isnan(rate) else float(rate) for name, rate in rates.items()},
        "true_positives": hits,
        "false_positives": signals - hits,
        "true_negatives": rows - positives - signals + hits,
        "false_negatives": positives - hits,
        "overall_score": float(overall_score(rates)) if rows else None,
        "brier_score": float(np.mean((probability - positive) ** 2)) if rows else None,
        "log_loss": float(np.mean(log_losses(positive, probability))) if rows else None,
        "roc_auc": _roc_auc(positive, probability) if 0 < positives < rows else None,
        "base_rate": positives / rows if rows else None,
        "slice_size": rows,
    }


def confusion_rates(hits: Any, flagged: Any, positives: Any, rows: Any) -> dict[str, Any]:
    """Return accuracy, precision and both recalls of counts, NumPy's numbers or arrays of them.

    What is undefined is NaN.
    """
    rejected = rows - positives - flagged + hits
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "accuracy": (hits + rejected) / rows,
            "precision": hits / flagged,
            "positive_accuracy": hits / positives,
            "negative_accuracy": rejected / (rows - positives),
        }


def overall_score(rates: Mapping[str, Any]) -> Any:
    """Return the weighted mean of what `confusion_rates` gives; a rate that is NaN counts as 0."""
    weights = OVERALL_SCORE_WEIGHTS.items()
    return sum(weight * np.nan_to_num(rates[name]) for name, weight in weights)


def log_losses(positive: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the negative log likelihood of each label."""
    clipped = np.clip(probability, LOG_LOSS_FLOOR, 1 - LOG_LOSS_FLOOR)
    return np.asarray(-np.where(positive, np.log(clipped), np.log(1 - clipped)))


def evaluation_metrics(evaluation: pd.DataFrame, column: str = "probability") -> Metrics:
    """Score a column of an evaluation frame, each row at its own decision threshold."""
    threshold = evaluation["decision_threshold"].to_numpy()
    return classification_metrics(
        evaluation["label"].to_numpy(), evaluation[column].to_numpy(), threshold
    )


@overload
def brier_skill(loss: float | None, reference_loss: float | None) -> float | None: ...
@overload
def brier_skill(loss: np.ndarray, reference_loss: np.ndarray) -> np.ndarray: ...
def brier_skill(loss: Any, reference_loss: Any) -> Any:
    """Return the Brier skill: 1 less loss over reference_loss, so 0 is no better than it.

    Losses are Brier scores, or sums over the same rows, one each or arrays of them. Undefined,
    without either or over a reference that is never wrong, it is None, in an array NaN.
    """
    if isinstance(reference_loss, np.ndarray):
        undefined = np.full(reference_loss.shape, np.nan)
        return 1 - np.divide(loss, reference_loss, out=undefined, where=reference_loss > 0)
    return None if loss is None or not reference_loss else float(1 - loss / reference_loss)


def _roc_auc(positive: np.ndarray, probability: np.ndarray) -> float:
    """Return the share of pairs of a positive and a negative in order; equals count half."""
    _, places, counts = np.unique(probability, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positives = int(positive.sum())
    above = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(positive) - positives)))
