"""What remains of a winner's figures once it is known that it was the best of several."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from crypto_pool.domain.evaluation import brier_skill
from crypto_pool.domain.intervals import (
    CONFIDENCE,
    Estimate,
    all_or_none_interval,
    block_rows,
    effective_sample_size,
    resampled_sums,
)
from crypto_pool.domain.label_windows import MIN_BLOCKS, purge_gap
from crypto_pool.domain.recipe import DEFAULT_TARGET, SelectionName
from crypto_pool.errors import UnscoredCandidate

LARGEST_PARTS = 10
SMALLEST_PARTS = 4
# One standard error, if there were one candidate alone.
ONE_STANDARD_ERROR = 0.84
PROMISED = ("precision", "recall", "brier_score", "skill_over_reference")


@dataclass(frozen=True)
class GainTest:
    """By how much each candidate's Brier loss is lower than the baseline's, and what is needed.

    `critical` is the 84 % quantile, over the block bootstrap, of the largest studentised
    deviation among the candidates: 1 for one of them, 1.3 to 2.1 for ten.
    """

    gain: np.ndarray
    standard_error: np.ndarray
    critical: float

    @property
    def needed(self) -> np.ndarray:
        """What each gain must exceed."""
        return self.critical * self.standard_error


@dataclass(frozen=True)
class CorrectedPromise:
    """What a winner promises, with what choosing it has to be charged.

    `promised` has precision, recall, brier_score and skill_over_reference with 90 % intervals,
    None where rows do not suffice. `pbo` is the probability of backtest overfitting: how often
    the best on one half of the rows is in the worse half on the other.
    """

    winner: str
    promised: Mapping[str, Estimate]
    pbo: float | None
    candidates_tried: int
    rows: int
    effective_sample_size: float

    @property
    def figures(self) -> dict[str, float | None]:
        """The promised figures as metrics, `promised_<name>` with `_low` and `_high`."""
        figures: dict[str, float | None] = {}
        for name, estimate in self.promised.items():
            figures |= estimate.columns(f"promised_{name}")
        return figures


def gain_test(gains: np.ndarray, block: int) -> GainTest:
    """Test daily gains over the baseline, rows by candidates."""
    rows = len(gains)
    mean, resampled = gains.mean(axis=0), resampled_sums(gains, block) / rows
    error = resampled.std(axis=0, ddof=1)
    varied = np.flatnonzero(error)
    deviation = (resampled - mean)[:, varied] / error[varied]
    largest = deviation.max(axis=1, initial=-np.inf)
    critical = float(np.quantile(largest, ONE_STANDARD_ERROR)) if varied.size else 0.0
    return GainTest(mean, error, critical)


def losses_on_shared_dates(evaluations: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the squared errors by name, on the bar dates on which all were judged."""
    losses = {
        name: (frame["probability"] - frame["label"]) ** 2 for name, frame in evaluations.items()
    }
    return pd.concat(losses, axis=1, join="inner")


def correct_promise(
    evaluations: Mapping[str, pd.DataFrame],
    winner: str,
    *,
    baseline: str | None = None,
    selection: SelectionName = "one_standard_error",
    horizon: int = DEFAULT_TARGET.horizon,
    serves_at: float | None = None,
) -> CorrectedPromise:
    """Correct a winner's figures for having been chosen among all candidates that were tried.

    `evaluations` holds the evaluation frame of each, the winner's and the baseline's among
    them. A recall is promised at the decision threshold that the winner `serves_at`: its folds
    were judged at others, by which a recall moves as far as its interval is wide, a precision
    hardly. What is known of the choice is that the winner's gain over the baseline exceeded what
    was needed, and the next best gain: given that, its true gain is estimated by the truncated
    normal distribution (Lee, Sun, Sun and Taylor 2016), and every figure moves as it moves with the
    gain over the block bootstrap. The gates are not corrected for: with thresholds that keep both
    recalls, what they add to a precision is below 0.01 (`python -m benchmarks honesty`).

    Raises:
        UnscoredCandidate: the winner was not evaluated, or all on no common bar date.
    """
    if winner not in evaluations:
        raise UnscoredCandidate(
            f"{winner}: no evaluation rows among those of {', '.join(evaluations) or 'nobody'}; "
            "train it again"
        )
    losses = losses_on_shared_dates(evaluations)
    if losses.empty:
        raise UnscoredCandidate(f"{winner}: the candidates were judged on no common bar date")
    overlap = purge_gap(horizon)
    mine = evaluations[winner].loc[losses.index]
    mine = mine.assign(serves_at=mine["decision_threshold"] if serves_at is None else serves_at)
    reference = (mine["reference_probability"] - mine["label"]).to_numpy() ** 2
    base = losses[baseline].to_numpy() if baseline in losses else reference
    others = losses.drop(columns=[winner, *([baseline] if baseline in losses else [])])
    gains = base[:, None] - np.column_stack([losses[winner], others])
    return CorrectedPromise(
        winner=winner,
        promised=_promised(
            mine, reference, gains, block_rows(overlap), selection, chosen=winner != baseline
        ),
        pbo=probability_of_overfitting(losses.to_numpy(), overlap),
        candidates_tried=len(others.columns) + (winner != baseline),
        rows=len(losses),
        effective_sample_size=effective_sample_size(len(losses), overlap),
    )


def probability_of_overfitting(errors: np.ndarray, overlap: int) -> float | None:
    """Give how often the best candidate of one half is in the worse half on the other.

    Combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado and Zhu
    2017) over `errors`, rows by candidates, lower is better. The rows are cut into an even
    number of parts, each at least three label windows long and without its last window,
    which the next part's labels share. None for one candidate or fewer than four parts.
    """
    rows, candidates = errors.shape
    parts = min(LARGEST_PARTS, rows // (3 * overlap)) // 2 * 2
    if candidates < 2 or parts < SMALLEST_PARTS:
        return None
    cut = [part[:-overlap] for part in np.array_split(errors, parts)]
    sums = np.array([part.sum(axis=0) for part in cut])
    sizes = np.array([len(part) for part in cut])
    chosen = np.zeros((len(list(combinations(range(parts), parts // 2))), parts))
    for row, half in enumerate(combinations(range(parts), parts // 2)):
        chosen[row, list(half)] = 1
    inside = chosen @ sums / (chosen @ sizes)[:, None]
    outside = (1 - chosen) @ sums / ((1 - chosen) @ sizes)[:, None]
    best = inside.argmin(axis=1)
    ranks = pd.DataFrame(-outside).rank(axis=1).to_numpy()
    standing = ranks[np.arange(len(best)), best] / (candidates + 1)
    return float(np.mean(standing < 0.5) + 0.5 * np.mean(standing == 0.5))


def _promised(
    rows: pd.DataFrame,
    reference: np.ndarray,
    gains: np.ndarray,
    block: int,
    selection: SelectionName,
    *,
    chosen: bool,
) -> dict[str, Estimate]:
    """Return the figures of the winner, whose gains are the first column."""
    from scipy.special import ndtri, stdtrit

    label = rows["label"].to_numpy(dtype=np.float64)
    flagged, caught = (
        (rows["probability"] > rows[name]).to_numpy(dtype=np.float64)
        for name in ("decision_threshold", "serves_at")
    )
    error = (rows["probability"].to_numpy() - label) ** 2
    parts = np.column_stack(
        [flagged * label, flagged, label, error, reference, caught * label, gains]
    )
    measured = _figures(parts.sum(axis=0)[None, :], len(rows))[0]
    blocks = len(rows) / block
    if blocks < MIN_BLOCKS:
        return {name: _estimate(value) for name, value in zip(PROMISED, measured, strict=True)}
    sums = resampled_sums(parts, block)
    # What is undefined has no spread, and takes no resample from the others.
    resampled = np.where(np.isfinite(measured), _figures(sums, len(rows)), 0.0)
    widening = np.sqrt(blocks / (blocks - 1))
    deviation = widening * (resampled - np.nanmean(resampled, axis=0))
    upper = (1 + CONFIDENCE) / 2
    normal, student = float(ndtri(upper)), float(stdtrit(blocks - 1, upper))
    # Simulated, Student's quantile is right for losses and too wide for rates: the interval of a
    # recall then covers 0.93 (`python -m benchmarks honesty`).
    critical = np.array([normal, normal, student, student])
    low = high = critical * np.nanstd(deviation, axis=0)
    value = measured
    gain = widening * (sums[:, 6] - sums[:, 6].mean()) / len(rows)
    if chosen and gain.std() > 0:
        test = gain_test(gains, block)
        limit = test.needed[0] if selection == "one_standard_error" else -np.inf
        beaten = test.gain[1:][test.gain[1:] <= test.gain[0]]
        limit = min(max([limit, *beaten]), test.gain[0])
        truth, *ends = _truncated(float(test.gain[0]), float(limit), float(gain.std()))
        moved = _moved_by(deviation, gain, sums[:, 4])
        rest = critical * np.nanstd(deviation - gain[:, None] * moved, axis=0)
        value = measured - moved * (test.gain[0] - truth)
        down, up = (np.abs(moved * (end - truth)) for end in ends)
        low = np.hypot(rest, np.where(moved > 0, down, up))
        high = np.hypot(rest, np.where(moved > 0, up, down))
    figures = np.array([value - low, value, value + high])
    for place, whole in enumerate((flagged, label)):
        if measured[place] in (0, 1):
            figures[::2, place] = all_or_none_interval(measured[place], whole, block)
    low, value, high = np.clip(figures, [0, 0, 0, -np.inf], 1)
    return {
        name: _estimate(value[place], low[place], high[place])
        for place, name in enumerate(PROMISED)
    }


def _moved_by(deviation: np.ndarray, gain: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return by how much each figure moves with the gain, where the rows are as hard as they are.

    How hard they are is the reference's loss, which choosing among candidates tells nothing of.
    """
    known = np.isfinite(deviation).all(axis=1)
    causes = np.column_stack([gain, reference - reference.mean()])[known]
    return np.asarray(np.linalg.lstsq(causes, deviation[known], rcond=None)[0][0])


def _figures(sums: np.ndarray, rows: int) -> np.ndarray:
    """Return the promised figures of sums of rows, NaN where one is undefined."""
    hits, flagged, positives, errors, reference, caught = sums[:, :6].T
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = hits / flagged, caught / positives
    return np.column_stack([precision, recall, errors / rows, brier_skill(errors, reference)])


def _truncated(value: float, limit: float, scale: float) -> tuple[float, ...]:
    """Return the mean of a normal variable seen at `value` because it exceeded `limit`.

    Median-unbiased, and the ends of its 90 % interval follow. Close to the limit it runs away, so
    it is taken no lower than the mirror image of what was seen.
    """
    from scipy.optimize import brentq
    from scipy.special import log_ndtr

    def tail(mean: float, level: float) -> float:
        beyond = log_ndtr((mean - value) / scale) - log_ndtr((mean - limit) / scale)
        return float(1 - np.exp(beyond) - level)

    def solve(level: float) -> float:
        low, high = value - 8 * scale, value + 8 * scale
        return low if tail(low, level) < 0 else float(brentq(tail, low, high, args=(level,)))

    ends = (1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2
    middle = max(solve(0.5), -abs(value))
    return middle, *map(solve, ends)


def _estimate(value: float, *ends: float) -> Estimate:
    return Estimate(*(float(number) if np.isfinite(number) else None for number in (value, *ends)))
