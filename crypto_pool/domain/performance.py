"""What came of forecasts: the source of every realised figure, and of the words for it.

One rule everywhere: live forecasts that were made in time and did not abstain, each outcome
beside the promise of the version that made it, and days rather than rows as what is independent.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from crypto_pool.domain.evaluation import brier_skill
from crypto_pool.domain.intervals import (
    CONFIDENCE,
    MIN_BLOCKS,
    BlockRatio,
    Estimate,
    block_ratio,
    block_rows,
)
from crypto_pool.domain.splits import purge_gap

BASELINE = "baseline"
PROMISED = ("precision", "recall", "brier_score", "skill_over_reference")
_UNDEFINED = Estimate()


class Verdict(StrEnum):
    """What the interval of a skill says, in words."""

    BETTER = "better than the reference"
    WORSE = "worse than the reference"
    UNTOLD = "cannot be told from the reference"


@dataclass(frozen=True)
class Performance:
    """Realised figures with their 90 % intervals, beside what was promised of the same rows.

    `effective_sample_size` is the number of separate label windows in its days. `p_value` is
    how likely a forecaster just as good as the reference does this badly; None for fewer than
    five such windows.
    """

    rows: int = 0
    days: int = 0
    effective_sample_size: float = 0.0
    signals: int = 0
    precision: Estimate = _UNDEFINED
    promised_precision: float | None = None
    recall: Estimate = _UNDEFINED
    promised_recall: float | None = None
    brier_score: Estimate = _UNDEFINED
    promised_brier_score: float | None = None
    reference_brier_score: float | None = None
    skill_over_reference: Estimate = _UNDEFINED
    promised_skill_over_reference: float | None = None
    base_rate: float | None = None
    mean_probability: float | None = None
    p_value: float | None = None
    verdict: Verdict = Verdict.UNTOLD

    def row(self) -> dict[str, Any]:
        """Return the figures by column; an interval ends in `_low` and `_high`."""
        flat: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Estimate):
                flat |= {field.name: value.value, f"{field.name}_low": value.low}
                flat[f"{field.name}_high"] = value.high
            else:
                flat[field.name] = value
        return flat


@dataclass(frozen=True)
class PoolPerformance:
    """The pool's champions, and its skill with the baseline's forecasts among theirs."""

    champions: Performance
    baseline: Performance
    skill_with_baseline: Estimate


@dataclass(frozen=True)
class Luck:
    """How many members were found better or worse, beside what chance alone gives of each."""

    members: int
    better: int
    worse: int
    by_chance: float


def live_rows(outcomes: pd.DataFrame, through: date, window_days: int) -> pd.DataFrame:
    """Return the rows of `window_days` days that count: known, made in time, not abstained.

    A row that a model was fitted or chosen on, or that was made late, never counts.
    """
    if outcomes.empty:
        return outcomes
    day = pd.to_datetime(outcomes["prediction_date"])
    first = pd.Timestamp(through) - timedelta(days=window_days)
    counts = (
        ~outcomes["in_sample"].astype(bool)
        & ~outcomes["late"].astype(bool)
        & (outcomes["status"] != "abstain")
        & outcomes["outcome"].notna()
    )
    return outcomes[counts & (day > first) & (day <= pd.Timestamp(through))]


def measure(rows: pd.DataFrame, horizon: int) -> Performance:
    """Measure live rows of one member or of many."""
    if rows.empty:
        return Performance()
    days = pd.DatetimeIndex(pd.to_datetime(rows["prediction_date"]))
    outcome = rows["outcome"].to_numpy(dtype=np.float64)
    signal = rows["signal"].to_numpy(dtype=bool)
    loss, reference = (
        (rows[name].to_numpy(dtype=np.float64) - outcome) ** 2
        for name in ("probability", "reference_probability")
    )
    everything = np.ones(len(rows))
    block = block_rows(purge_gap(horizon))
    skill = _skill(loss, reference, days, block)
    separate = purge_gap(horizon)
    return Performance(
        rows=len(rows),
        days=days.nunique(),
        effective_sample_size=days.nunique() / separate,
        signals=int(signal.sum()),
        precision=_share(outcome * signal, signal, days, block),
        promised_precision=_promise(rows[signal], "precision"),
        recall=_share(outcome * signal, outcome == 1, days, block),
        promised_recall=_promise(rows[outcome == 1], "recall"),
        brier_score=_interval(block_ratio(loss, everything, days, block)),
        promised_brier_score=_promise(rows, "brier_score"),
        reference_brier_score=float(reference.mean()),
        skill_over_reference=skill,
        promised_skill_over_reference=_promise(rows, "skill_over_reference"),
        base_rate=float(outcome.mean()),
        mean_probability=float(rows["probability"].mean()),
        p_value=excess_p_value(loss - reference, days, separate),
        verdict=verdict_of(skill),
    )


def measure_pool(rows: pd.DataFrame, horizon: int) -> PoolPerformance:
    """Measure the live rows of all members, what champions served apart from the baseline's."""
    if rows.empty:
        return PoolPerformance(Performance(), Performance(), _UNDEFINED)
    of_baseline = rows["status"] == BASELINE
    return PoolPerformance(
        champions=measure(rows[~of_baseline], horizon),
        baseline=measure(rows[of_baseline], horizon),
        skill_with_baseline=measure(rows, horizon).skill_over_reference,
    )


def excess_p_value(excess: np.ndarray, days: pd.DatetimeIndex, block_days: int) -> float | None:
    """Return how likely so large a mean excess loss is if there is none; None below five blocks."""
    found = block_ratio(excess, np.ones(len(excess)), days, block_days)
    return None if found is None or found.blocks < MIN_BLOCKS else found.p_value()


def verdict_of(skill: Estimate) -> Verdict:
    """Return in words on which side of the reference the whole interval of a skill lies."""
    if skill.low is not None and skill.low > 0:
        return Verdict.BETTER
    return Verdict.WORSE if skill.high is not None and skill.high < 0 else Verdict.UNTOLD


def count_luck(verdicts: Iterable[Verdict]) -> Luck:
    """Count verdicts on members, beside how many of each side 90 % intervals give by chance."""
    found = list(verdicts)
    chance = len(found) * (1 - CONFIDENCE) / 2
    return Luck(len(found), found.count(Verdict.BETTER), found.count(Verdict.WORSE), chance)


def _skill(loss: np.ndarray, reference: np.ndarray, days: pd.DatetimeIndex, block: int) -> Estimate:
    value = brier_skill(float(loss.sum()), float(reference.sum()))
    if value is None:
        return _UNDEFINED
    # The paired difference, in units of the reference's loss: skill and verdict are one test.
    excess = _interval(block_ratio(loss - reference, np.ones(len(loss)), days, block))
    if excess.low is None or excess.high is None:
        return Estimate(value)
    unit = float(reference.mean())
    return Estimate(value, -excess.high / unit, -excess.low / unit)


def _share(part: np.ndarray, whole: np.ndarray, days: pd.DatetimeIndex, block: int) -> Estimate:
    found = block_ratio(part, whole.astype(np.float64), days, block)
    return _UNDEFINED if found is None else found.share_interval(int(whole.sum()))


def _interval(found: BlockRatio | None) -> Estimate:
    return _UNDEFINED if found is None else found.interval()


def _promise(rows: pd.DataFrame, name: str) -> float | None:
    """Return the mean of what the versions that made the rows were promised to do."""
    column = f"promised_{name}"
    mean = rows[column].astype(np.float64).mean() if column in rows else np.nan
    return None if np.isnan(mean) else float(mean)
