"""How sure a measured figure is, when neighbouring rows share most of their label."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from crypto_pool.domain.evaluation import brier_skill, confusion_rates, log_losses, overall_score
from crypto_pool.domain.label_windows import MIN_BLOCKS

Interval = tuple[float, float]

CONFIDENCE = 0.9
RESAMPLES = 1000
# From so many blocks on Student's t has its level, however unlike the blocks are.
MIN_RATIO_BLOCKS = 3
_SEED = 20_240_101


class Estimate(NamedTuple):
    """A figure with its 90 % interval; what is undefined is None."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    def columns(self, name: str) -> dict[str, float | None]:
        """Return the figure as `name`, the ends of its interval as `name_low` and `name_high`."""
        return dict(zip((name, f"{name}_low", f"{name}_high"), self, strict=True))


class BlockRatio(NamedTuple):
    """The sum of a part over the sum of a whole, and the error that blocks of days give it.

    `held` is in how many of the blocks there is any of the whole.
    """

    value: float
    standard_error: float
    blocks: int
    held: int

    def interval(self) -> Estimate:
        """Return the ratio with Student's interval over the blocks; without one below three."""
        if self.blocks < MIN_RATIO_BLOCKS:
            return Estimate(self.value)
        margin = self._critical() * self.standard_error
        return Estimate(self.value, self.value - margin, self.value + margin)

    def share_interval(self, rows: int) -> Estimate:
        """Return the ratio, a share of `rows`, with Wilson's interval at its effective size.

        Without one below three blocks. Student's interval of a few signals within few blocks is too
        narrow and leaves [0, 1]. Blocks that do not differ, as where all came true, tell no size:
        each that holds any counts as one.
        """
        if self.blocks < MIN_RATIO_BLOCKS or not self.held:
            return Estimate(self.value)
        error = self.standard_error**2
        effective = min(rows, self.value * (1 - self.value) / error) if error else self.held
        return Estimate(self.value, *wilson(self.value, effective, self._critical()))

    def p_value(self) -> float:
        """Return how likely a ratio this large is, one-sided, if it is 0 in truth."""
        from scipy.stats import t as students_t

        if not self.standard_error:
            return 1.0 if self.value <= 0 else 0.0
        return float(students_t.sf(self.value / self.standard_error, self.blocks - 1))

    def _critical(self) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(self.blocks - 1, (1 + CONFIDENCE) / 2))


def wilson(share: float, rows: float, critical: float) -> Interval:
    """Return Wilson's interval of a share of so many independent rows."""
    widening = critical**2 / rows
    centre = (share + widening / 2) / (1 + widening)
    margin = np.sqrt(widening * (share * (1 - share) + widening / 4)) / (1 + widening)
    return max(0.0, float(centre - margin)), min(1.0, float(centre + margin))


def all_or_none_interval(share: float, whole: np.ndarray, block: int) -> Interval:
    """Return the interval of a share of all or none of `whole`, 1 or 0 by row.

    No resample has another share, which would be no interval: each block of rows that holds any
    of the whole counts as one.
    """
    from scipy.special import ndtri

    held = np.count_nonzero(np.add.reduceat(whole, np.arange(0, len(whole), block)))
    return wilson(share, int(held), float(ndtri((1 + CONFIDENCE) / 2)))


def block_ratio(
    part: np.ndarray, whole: np.ndarray, days: pd.DatetimeIndex, block_days: int
) -> BlockRatio | None:
    """Return sum(part) / sum(whole) with the error of whole blocks of days, None if whole is 0.

    The t statistic over blocks of Ibragimov and Müller (2010): neighbouring days, and coins of
    one day, count as the few independent observations they are. Blocks are counted from the
    latest day back; the days that fill none enter the ratio, not its error.
    """
    total = float(whole.sum())
    if total == 0:
        return None
    value = float(part.sum()) / total
    age = np.asarray((days.max() - days).days)
    block, blocks = age // block_days, (int(age.max()) + 1) // block_days
    if blocks < 2:
        return BlockRatio(value, float("nan"), blocks, blocks)
    inside = block < blocks
    parts = np.bincount(block[inside], part[inside], blocks)
    wholes = np.bincount(block[inside], whole[inside], blocks)
    if not wholes.sum():
        return BlockRatio(value, float("nan"), 0, 0)
    residual = parts - parts.sum() / wholes.sum() * wholes
    spread = np.sqrt(blocks / (blocks - 1) * np.sum(residual**2)) / wholes.sum()
    # Equal blocks differ in the last bit of their sums, and that is no error.
    exact = np.allclose(residual, 0.0, atol=1e-12 * max(1.0, float(np.abs(parts).max())))
    held = int(np.count_nonzero(wholes))
    return BlockRatio(value, 0.0 if exact else float(spread), blocks, held)


def block_rows(overlap: int) -> int:
    """Give the length of a bootstrap block: half as long again as labels overlap."""
    return round(1.5 * overlap)


def effective_sample_size(rows: int, overlap: int) -> float:
    """Give how many labels that share nothing fit into as many daily rows."""
    return rows / overlap


def resampled_sums(values: np.ndarray, block: int) -> np.ndarray:
    """Sum each column of `values` over rows drawn in whole blocks: resamples x columns.

    The circular block bootstrap (Politis and Romano 1992), with a fixed seed: the last row
    is followed by the first, and the last block is cut so that every resample has as many
    rows as there are.
    """
    rows = len(values)
    lengths = np.full(-(-rows // block), block)
    lengths[-1] = rows - block * (len(lengths) - 1)
    starts = np.random.default_rng(_SEED).integers(0, rows, (RESAMPLES, len(lengths)))
    around = np.concatenate([np.zeros((1, values.shape[1])), values, values[:block]])
    running = np.cumsum(around, axis=0)
    return np.asarray((running[starts + lengths] - running[starts]).sum(axis=1))


def paired_difference(difference: pd.Series, block_days: int, *, student: bool = False) -> Estimate:
    """Return the mean of daily differences, by bar date, with its block-bootstrap interval.

    Widened by the root of B / (B - 1) for B blocks, since each varies about their own mean;
    with `student` by Student's quantile for the normal one too, without which a difference of
    0 on five blocks is wholly on one side twice as often as the interval says.
    """
    from scipy.special import ndtri, stdtrit

    days = pd.DatetimeIndex(difference.index)
    every = pd.date_range(days.min(), days.max(), freq="D")
    daily = difference.groupby(days).agg(["sum", "size"]).reindex(every, fill_value=0.0)
    sums = resampled_sums(daily.to_numpy(dtype=np.float64), block_days)
    mean, blocks = float(difference.mean()), max(len(every) / block_days, 1 + 1e-9)
    with np.errstate(invalid="ignore"):  # a resample without a row has no mean
        ends = _percentiles(sums[:, 0] / sums[:, 1])
    if ends is None:
        return Estimate(mean)
    widening = np.sqrt(blocks / (blocks - 1))
    if student:
        upper = (1 + CONFIDENCE) / 2
        widening *= stdtrit(blocks - 1, upper) / ndtri(upper)
    low, high = (mean + widening * (end - mean) for end in ends)
    return Estimate(mean, float(low), float(high))


def metric_intervals(evaluation: pd.DataFrame, overlap: int) -> dict[str, Interval | None]:
    """Give 90 % block-bootstrap intervals of the metrics of an evaluation frame.

    None where fewer than five blocks fit, or where the metric is undefined in a tenth of
    the resamples or more.
    """
    label = evaluation["label"].to_numpy(dtype=np.float64)
    probability = evaluation["probability"].to_numpy(dtype=np.float64)
    reference = evaluation["reference_probability"].to_numpy(dtype=np.float64)
    flagged = (probability > evaluation["decision_threshold"].to_numpy()).astype(np.float64)
    parts = np.column_stack(
        [
            np.ones(len(label)),
            label,
            flagged,
            flagged * label,
            (probability - label) ** 2,
            (reference - label) ** 2,
            log_losses(label == 1, probability),
        ]
    )
    block = block_rows(overlap)
    sums = resampled_sums(parts, block)
    rows, positives, signals, hits, errors, reference_errors, losses = sums.T
    rates = confusion_rates(hits, signals, positives, rows)
    resampled = {
        **rates,
        "overall_score": overall_score(rates),
        "brier_score": errors / rows,
        "reference_brier_score": reference_errors / rows,
        "log_loss": losses / rows,
        "base_rate": positives / rows,
        "skill_over_reference": brier_skill(errors, reference_errors),
    }
    is_enough = len(evaluation) >= MIN_BLOCKS * block
    ends = {name: _percentiles(one) if is_enough else None for name, one in resampled.items()}
    ones, [label, flagged] = parts[:, 0], parts[:, 1:3].T
    wholes = dict(zip(rates, (ones, flagged, label, 1 - label), strict=True))
    for name, whole in {**wholes, "base_rate": ones}.items():
        if (found := ends[name]) is not None and found in ((0, 0), (1, 1)):
            ends[name] = all_or_none_interval(found[0], whole, block)
    return ends


def _percentiles(values: np.ndarray) -> Interval | None:
    defined = values[np.isfinite(values)]
    if len(defined) <= CONFIDENCE * len(values):
        return None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)
