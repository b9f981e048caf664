"""How sure a measured figure is, when neighbouring rows share most of their label."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from crypto_pool.domain.evaluation import LOG_LOSS_FLOOR, OVERALL_SCORE_WEIGHTS, brier_skill

Interval = tuple[float, float]

CONFIDENCE = 0.9
RESAMPLES = 1000
MIN_BLOCKS = 5
# The sums a bootstrap draws, and the metrics that are quotients of them.
_SUMS = ("rows", "positives", "flagged", "hits", "errors", "reference_errors", "losses")
_SEED = 20_240_101


def block_rows(overlap: int) -> int:
    """Give the length of a bootstrap block: half as long again as labels overlap."""
    return round(1.5 * overlap)


def effective_sample_size(rows: int, overlap: int) -> float:
    """Give how many labels that share nothing fit into as many daily rows."""
    return rows / overlap


def resampled_sums(values: np.ndarray, block: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Sum each column of `values` over rows drawn in whole blocks, once for each resample.

    The circular block bootstrap (Politis and Romano 1992), with a fixed seed: the last row
    is followed by the first, and the last block is cut so that every resample has as many
    rows as there are.
    """
    rows = len(values)
    lengths = np.full(-(-rows // block), block)
    lengths[-1] = rows - block * (len(lengths) - 1)
    starts = np.random.default_rng(_SEED).integers(0, rows, (resamples, len(lengths)))
    around = np.concatenate([np.zeros((1, values.shape[1])), values, values[:block]])
    running = np.cumsum(around, axis=0)
    return np.asarray((running[starts + lengths] - running[starts]).sum(axis=1))


def metric_intervals(evaluation: pd.DataFrame, overlap: int) -> dict[str, Interval | None]:
    """Give 90 % block-bootstrap intervals of the metrics of an evaluation frame.

    None where fewer than five blocks fit, or where the metric is undefined in a tenth of
    the resamples or more.
    """
    block = block_rows(overlap)
    if len(evaluation) < MIN_BLOCKS * block:
        return dict.fromkeys(_QUOTIENTS)
    sums = resampled_sums(_row_values(evaluation), block)
    named = dict(zip(_SUMS, sums.T, strict=True))
    return {name: _percentiles(metric(named)) for name, metric in _QUOTIENTS.items()}


def _row_values(evaluation: pd.DataFrame) -> np.ndarray:
    """Give for each row its part of every sum, in the order of `_SUMS`."""
    label = evaluation["label"].to_numpy(dtype=np.float64)
    probability = evaluation["probability"].to_numpy(dtype=np.float64)
    reference = evaluation["reference_probability"].to_numpy(dtype=np.float64)
    flagged = (probability > evaluation["decision_threshold"].to_numpy()).astype(np.float64)
    clipped = np.clip(probability, LOG_LOSS_FLOOR, 1 - LOG_LOSS_FLOOR)
    return np.column_stack(
        [
            np.ones(len(label)),
            label,
            flagged,
            flagged * label,
            (probability - label) ** 2,
            (reference - label) ** 2,
            -np.where(label == 1, np.log(clipped), np.log(1 - clipped)),
        ]
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))


def _true_negatives(sums: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(sums["rows"] - sums["positives"] - sums["flagged"] + sums["hits"])


Metric = Callable[[dict[str, np.ndarray]], np.ndarray]

_RATES: Mapping[str, Metric] = {
    "accuracy": lambda s: _ratio(s["hits"] + _true_negatives(s), s["rows"]),
    "precision": lambda s: _ratio(s["hits"], s["flagged"]),
    "positive_accuracy": lambda s: _ratio(s["hits"], s["positives"]),
    "negative_accuracy": lambda s: _ratio(_true_negatives(s), s["rows"] - s["positives"]),
}


def _overall_score(sums: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(
        sum(
            weight * np.nan_to_num(_RATES[name](sums))
            for name, weight in OVERALL_SCORE_WEIGHTS.items()
        )
    )


_QUOTIENTS: Mapping[str, Metric] = MappingProxyType(
    {
        **_RATES,
        "overall_score": _overall_score,
        "brier_score": lambda s: _ratio(s["errors"], s["rows"]),
        "reference_brier_score": lambda s: _ratio(s["reference_errors"], s["rows"]),
        "log_loss": lambda s: _ratio(s["losses"], s["rows"]),
        "base_rate": lambda s: _ratio(s["positives"], s["rows"]),
        "skill_over_reference": lambda s: brier_skill(s["errors"], s["reference_errors"]),
    }
)


def _percentiles(values: np.ndarray) -> Interval | None:
    defined = values[np.isfinite(values)]
    if len(defined) <= CONFIDENCE * len(values):
        return None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)
