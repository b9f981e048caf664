"""What came of forecasts: the source of every realised figure, and of the words for it.

One rule everywhere: live forecasts that were made in time and did not abstain, each outcome
beside the promise of the version that made it, and days rather than rows as what is independent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from crypto_pool.domain.evaluation import brier_skill
from crypto_pool.domain.intervals import CONFIDENCE, Estimate, block_ratio, block_rows
from crypto_pool.domain.label_windows import MIN_BLOCKS, purge_gap

BASELINE = "baseline"
RAREST = 1e-9
_UNDEFINED = Estimate()


class Verdict(StrEnum):
    """What the interval of a skill says, in words."""

    BETTER = "better than the reference"
    WORSE = "worse than the reference"
    UNTOLD = "cannot be told from the reference"


@dataclass(frozen=True)
class Performance:
    """Realised figures with their 90 % intervals, beside what was promised of the same rows.

    Figures are those of what champions served; the baseline's forecasts are scored apart, and
    the skill is given with them too. `inside_range` is the share of all outcomes that lay in the
    panel's range. `effective_sample_size` is the number of separate label
    windows in the days. `p_value` is how likely a forecaster just as good as the reference does
    this badly; None for fewer than five such windows.
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
    baseline_rows: int = 0
    baseline_skill: Estimate = _UNDEFINED
    skill_with_baseline: Estimate = _UNDEFINED
    inside_range: Estimate = _UNDEFINED

    def row(self) -> dict[str, Any]:
        """Return the figures by column; an interval ends in `_low` and `_high`."""
        flat: dict[str, Any] = {}
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            flat |= value.columns(name) if isinstance(value, Estimate) else {name: value}
        return flat


@dataclass(frozen=True)
class Luck:
    """How many members were found better or worse, beside what chance alone gives of each."""

    members: int
    better: int
    worse: int
    by_chance: float

    @property
    def words(self) -> str:
        """The counts in one line."""
        return (
            f"{self.better} of {self.members} members better than the reference, {self.worse} "
            f"worse; chance alone gives {self.by_chance:.1f} of each"
        )


def live_rows(outcomes: pd.DataFrame, as_of: date, window_days: int, horizon: int) -> pd.DataFrame:
    """Return the rows of `window_days` days that count: known, made in time, not abstained.

    Known is what had come by the close of `as_of`, whatever has matured since. A row that was
    made late never counts, nor one whose label what taught or chose its model reaches into.
    """
    if outcomes.empty:
        return outcomes
    day = pd.to_datetime(outcomes["prediction_date"])
    first, last = (pd.Timestamp(as_of) - timedelta(days=days) for days in (window_days, horizon))
    counts = (
        ~outcomes["in_sample"].astype(bool)
        & ~outcomes["late"].astype(bool)
        & (outcomes["status"] != "abstain")
        & outcomes["outcome"].notna()
    )
    return outcomes[counts & (day > first) & (day <= last)]


def measure(rows: pd.DataFrame, horizon: int) -> Performance:
    """Measure live rows of one member or of many."""
    if rows.empty:
        return Performance()
    of_baseline = (rows["status"] == BASELINE).to_numpy()
    apart = replace(
        weigh(rows, horizon),
        baseline_rows=int(of_baseline.sum()),
        baseline_skill=skill_of(rows[of_baseline], horizon),
        skill_with_baseline=skill_of(rows, horizon),
        inside_range=_share_inside(rows, horizon),
    )
    served = rows[~of_baseline]
    if served.empty:
        return apart
    scores = _Scores(served, horizon)
    outcome, signal = scores.outcome, served["signal"].to_numpy(dtype=bool)
    skill = scores.skill()
    return replace(
        apart,
        signals=int(signal.sum()),
        precision=scores.share(outcome * signal, signal),
        promised_precision=_promise(served[signal], "precision"),
        recall=scores.share(outcome * signal, outcome == 1),
        promised_recall=_promise(served[outcome == 1], "recall"),
        brier_score=scores.mean(scores.loss),
        promised_brier_score=_promise(served, "brier_score"),
        skill_over_reference=skill,
        promised_skill_over_reference=_promise(served, "skill_over_reference"),
        base_rate=float(outcome.mean()),
        mean_probability=float(served["probability"].mean()),
        verdict=verdict_of(skill),
    )


def weigh(rows: pd.DataFrame, horizon: int) -> Performance:
    """Measure of live rows what a verdict on who served needs, without intervals."""
    served = rows if rows.empty else rows[(rows["status"] != BASELINE).to_numpy()]
    if served.empty:
        return Performance()
    scores = _Scores(served, horizon)
    ours, theirs, days = scores.loss, scores.reference_loss, scores.days.nunique()
    return Performance(
        rows=len(served),
        days=days,
        effective_sample_size=days / purge_gap(horizon),
        brier_score=Estimate(float(ours.mean())),
        reference_brier_score=float(theirs.mean()),
        skill_over_reference=Estimate(brier_skill(float(ours.sum()), float(theirs.sum()))),
        p_value=excess_p_value(ours - theirs, scores.days, purge_gap(horizon)),
    )


def skill_of(rows: pd.DataFrame, horizon: int) -> Estimate:
    """Return the skill over the reference of all rows, whoever made them."""
    return _Scores(rows, horizon).skill()


def excess_p_value(excess: np.ndarray, days: pd.DatetimeIndex, block_days: int) -> float | None:
    """Return how likely so large a mean excess loss is if there is none; None below five blocks."""
    ratio = block_ratio(excess, np.ones(len(excess)), days, block_days)
    return None if ratio is None or ratio.blocks < MIN_BLOCKS else ratio.p_value()


def by_luck(p_value: float) -> str:
    """Return how often luck alone does it, as one says it: in 86 of 100, in 1 of 190,000."""
    if p_value >= 0.01:
        return f"in {100 * p_value:.0f} of 100"
    often = 1 / max(p_value, RAREST)
    return f"in 1 of {round(often, 1 - int(np.log10(often))):,.0f}"


def verdict_of(skill: Estimate) -> Verdict:
    """Return in words on which side of the reference the whole interval of a skill lies."""
    if skill.low is not None and skill.low > 0:
        return Verdict.BETTER
    return Verdict.WORSE if skill.high is not None and skill.high < 0 else Verdict.UNTOLD


def promised_verdict(figures: Mapping[str, Any]) -> Verdict:
    """Return the verdict on the skill that a version promises, by the names of its figures."""
    ends = Estimate().columns("promised_skill_over_reference")
    return verdict_of(Estimate(*map(figures.get, ends)))


def count_luck(verdicts: Iterable[Verdict]) -> Luck:
    """Count verdicts on members, beside how many of each side 90 % intervals give by chance."""
    counted = list(verdicts)
    lucky = len(counted) * (1 - CONFIDENCE) / 2
    return Luck(len(counted), counted.count(Verdict.BETTER), counted.count(Verdict.WORSE), lucky)


class _Scores:
    """The losses of some rows, and figures over blocks of their days."""

    def __init__(self, rows: pd.DataFrame, horizon: int) -> None:
        self.outcome = rows["outcome"].to_numpy(dtype=np.float64)
        self.loss, self.reference_loss = (
            (rows[name].to_numpy(dtype=np.float64) - self.outcome) ** 2
            for name in ("probability", "reference_probability")
        )
        self.days = pd.DatetimeIndex(pd.to_datetime(rows["prediction_date"]))
        self.block = block_rows(purge_gap(horizon))

    def mean(self, values: np.ndarray) -> Estimate:
        ratio = block_ratio(values, np.ones(len(values)), self.days, self.block)
        return _UNDEFINED if ratio is None else ratio.interval()

    def share(self, part: np.ndarray, whole: np.ndarray) -> Estimate:
        ratio = block_ratio(part, whole.astype(np.float64), self.days, self.block)
        return _UNDEFINED if ratio is None else ratio.share_interval(int(whole.sum()))

    def skill(self) -> Estimate:
        if not len(self.loss):
            return _UNDEFINED
        value = brier_skill(float(self.loss.sum()), float(self.reference_loss.sum()))
        # The paired difference, in units of the reference's loss: skill and verdict are one test.
        excess = self.mean(self.loss - self.reference_loss)
        if value is None or excess.low is None or excess.high is None:
            return Estimate(value)
        unit = float(self.reference_loss.mean())
        return Estimate(value, -excess.high / unit, -excess.low / unit)


def _share_inside(rows: pd.DataFrame, horizon: int) -> Estimate:
    """Return the share of outcomes in the panel's range, of the rows that had one."""
    rows = rows.dropna(subset=["inside_range"]) if "inside_range" in rows else rows.iloc[:0]
    inside = rows.get("inside_range", pd.Series(dtype=float)).to_numpy(dtype=np.float64)
    return _Scores(rows, horizon).share(inside, np.ones(len(rows))) if len(rows) else _UNDEFINED


def _promise(rows: pd.DataFrame, name: str) -> float | None:
    """Return the mean of what the versions that made the rows were promised to do."""
    column = f"promised_{name}"
    mean = rows[column].astype(np.float64).mean() if column in rows else np.nan
    return None if np.isnan(mean) else float(mean)
