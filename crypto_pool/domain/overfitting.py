"""What remains of a winner's skill once it is known that it was the best of several."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from crypto_pool.domain.evaluation import brier_skill
from crypto_pool.domain.intervals import (
    CONFIDENCE,
    MIN_BLOCKS,
    Interval,
    effective_sample_size,
    resampled_sums,
)
from crypto_pool.domain.recipe import DEFAULT_TARGET
from crypto_pool.domain.splits import purge_gap
from crypto_pool.errors import UnscoredCandidate

LARGEST_PARTS = 10
SMALLEST_PARTS = 4


@dataclass(frozen=True)
class SelectionCorrection:
    """A winner's skill over the reference, with what choosing it has to be charged.

    `skill_interval` covers with 90 % whichever candidate was chosen and for whatever
    reason. `pbo` is the probability of backtest overfitting: how often the best on one half
    of the rows is in the worse half on the other. Both are None where rows or candidates
    do not suffice.
    """

    winner: str
    skill: float | None
    skill_interval: Interval | None
    pbo: float | None
    candidates_tried: int
    rows: int
    effective_sample_size: float


def correct_selection(
    evaluations: Mapping[str, pd.DataFrame], winner: str, horizon: int = DEFAULT_TARGET.horizon
) -> SelectionCorrection:
    """Correct the winner's skill for the choice among all candidates that were tried.

    `evaluations` holds the evaluation frame of each, the winner's among them; they are
    compared on the bar dates they share. Raises UnscoredCandidate where the winner's is
    missing or there are no such dates.
    """
    if winner not in evaluations:
        raise UnscoredCandidate(
            f"{winner}: no evaluation rows among those of {', '.join(evaluations) or 'nobody'}; "
            "train it again"
        )
    errors, reference_errors = _squared_errors(evaluations)
    if not len(errors):
        raise UnscoredCandidate(f"{winner}: the candidates were judged on no common bar date")
    position, overlap = list(evaluations).index(winner), purge_gap(horizon)
    gains = reference_errors[:, None] - errors
    total = float(reference_errors.sum())
    return SelectionCorrection(
        winner=winner,
        skill=brier_skill(float(errors[:, position].sum()), total),
        skill_interval=_simultaneous_interval(gains, reference_errors, position, overlap),
        pbo=probability_of_overfitting(errors, overlap),
        candidates_tried=len(evaluations),
        rows=len(errors),
        effective_sample_size=effective_sample_size(len(errors), overlap),
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


def _squared_errors(evaluations: Mapping[str, pd.DataFrame]) -> tuple[np.ndarray, np.ndarray]:
    """Give each candidate's squared errors on the common dates, and the reference's."""
    frames = list(evaluations.values())
    dates = frames[0].index
    for frame in frames[1:]:
        dates = dates.intersection(frame.index)
    common = [frame.loc[dates] for frame in frames]
    errors = [(frame["probability"] - frame["label"]).to_numpy() ** 2 for frame in common]
    reference = (common[0]["reference_probability"] - common[0]["label"]).to_numpy() ** 2
    return np.column_stack(errors), reference


def _simultaneous_interval(
    gains: np.ndarray, reference_errors: np.ndarray, winner: int, overlap: int
) -> Interval | None:
    """Give the winner's part of a band that holds all candidates' skills at once.

    The band is as many standard errors wide as the largest deviation among the candidates
    reaches in 90 % of the block-bootstrap resamples, so no choice among them breaks it.
    """
    from scipy.special import ndtr, stdtrit

    block = 2 * overlap
    if len(gains) < MIN_BLOCKS * block or not reference_errors.sum() > 0:
        return None
    skill = gains.sum(axis=0) / reference_errors.sum()
    sums = resampled_sums(np.column_stack([gains, reference_errors]), block)
    # Deviations of the linearised quotient keep a resample without errors defined.
    deviation = (sums[:, :-1] - skill * sums[:, -1:]) / reference_errors.sum()
    spread = deviation.std(axis=0, ddof=1)
    varied = spread > 0
    largest = np.abs(deviation[:, varied] / spread[varied]).max(axis=1, initial=0.0)
    # Few blocks make the standard error itself uncertain: Student's quantile for the normal one.
    blocks = len(gains) / block
    critical = stdtrit(blocks - 1, ndtr(np.quantile(largest, CONFIDENCE)))
    margin = float(critical * spread[winner] * np.sqrt(blocks / (blocks - 1)))
    return float(skill[winner] - margin), float(skill[winner] + margin)
