"""What became of the forecasts: realised figures, and what they mean for who serves."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pandas as pd

from crypto_pool.domain.evaluation import brier_skill
from crypto_pool.domain.intervals import MIN_BLOCKS
from crypto_pool.domain.splits import purge_gap

_KEY = ["prediction_date", "symbol", "trend"]

Action = Literal["keep", "quarantine", "roll back"]


@dataclass(frozen=True)
class ReviewRules:
    """When a champion's live forecasts take it out of service.

    The tests are repeated every day, so a level of 0.001 means that about one in twenty
    forecasters just as good as the reference is quarantined within a year.
    """

    horizon: int = 10
    window_days: int = 240
    level: float = 0.001


@dataclass(frozen=True)
class RealisedPerformance:
    """Figures of matured live forecasts; what is undefined is None.

    `chance` is how likely a forecaster just as good as the reference does this badly.
    """

    rows: int
    separate_windows: float
    signals: int
    precision: float | None
    mean_probability: float | None
    base_rate: float | None
    brier_score: float | None
    reference_brier_score: float | None
    skill_over_reference: float | None
    chance: float | None


@dataclass(frozen=True)
class Review:
    """What is to be done about a champion, and why."""

    action: Action
    reason: str
    performance: RealisedPerformance


def review_days_needed(horizon: int) -> int:
    """Give the shortest window within which as many blocks as a verdict needs can mature."""
    return MIN_BLOCKS * purge_gap(horizon) + horizon


def live_outcomes(outcomes: pd.DataFrame, through: date, window_days: int) -> pd.DataFrame:
    """Give the scored rows of the last `window_days` days that no model was fitted or chosen on."""
    if outcomes.empty:
        return outcomes
    day = pd.to_datetime(outcomes["prediction_date"])
    first = pd.Timestamp(through) - timedelta(days=window_days)
    is_live = ~outcomes["in_sample"].astype(bool)
    return outcomes[is_live & (day > first) & (day <= pd.Timestamp(through))]


def measure_realised(outcomes: pd.DataFrame, horizon: int) -> RealisedPerformance:
    """Measure scored rows of one member or of many; days, not rows, are what is independent."""
    if outcomes.empty:
        return RealisedPerformance(0, 0.0, 0, *[None] * 7)
    outcome = outcomes["outcome"].to_numpy(dtype=np.float64)
    signal = outcomes["signal"].to_numpy(dtype=bool)
    brier = float(_losses(outcomes, "probability").mean())
    reference = float(_losses(outcomes, "reference_probability").mean())
    days = pd.to_datetime(outcomes["prediction_date"])
    return RealisedPerformance(
        rows=len(outcomes),
        separate_windows=days.nunique() / purge_gap(horizon),
        signals=int(signal.sum()),
        precision=float(outcome[signal].mean()) if signal.any() else None,
        mean_probability=float(outcomes["probability"].mean()),
        base_rate=float(outcome.mean()),
        brier_score=brier,
        reference_brier_score=reference,
        skill_over_reference=brier_skill(brier, reference),
        chance=chance_of_excess_loss(
            _losses(outcomes, "probability") - _losses(outcomes, "reference_probability"),
            days,
            horizon,
        ),
    )


def chance_of_excess_loss(excess: pd.Series, days: pd.Series, horizon: int) -> float | None:
    """Give how likely the mean excess loss is at least this large if there is none in truth.

    A t-test over the means of blocks of days as long as labels overlap (Ibragimov and
    Müller 2010), so neighbouring rows, and coins of one day, count as the few independent
    observations they are. None for fewer than five blocks.
    """
    from scipy.stats import t as students_t

    daily = excess.groupby(pd.DatetimeIndex(days)).mean()
    # From the latest day back, and only whole blocks: a few days are no block of their own.
    age = np.asarray((daily.index.max() - daily.index).days)
    block = age // purge_gap(horizon)
    whole = (int(age.max()) + 1) // purge_gap(horizon)
    means = daily[block < whole].groupby(block[block < whole]).mean().to_numpy()
    if len(means) < MIN_BLOCKS:
        return None
    spread = float(means.std(ddof=1))
    if spread == 0.0:
        return 1.0 if means.mean() <= 0 else 0.0
    statistic = float(means.mean()) / (spread / np.sqrt(len(means)))
    return float(students_t.sf(statistic, len(means) - 1))


def review_champion(
    served: pd.DataFrame, champion: pd.DataFrame, previous: pd.DataFrame, rules: ReviewRules
) -> Review:
    """Decide whether a champion goes on serving, by matured live rows.

    `served` holds what the member served, by whatever version: one version rarely serves
    long enough for a verdict of its own. `champion` are the rows of the version serving now
    and `previous` what the version before it forecast in its shadow.
    """
    performance = measure_realised(served, rules.horizon)
    gain = _previous_is_better(champion, previous, rules)
    if gain is not None:
        return Review("roll back", gain, performance)
    chance, skill = performance.chance, performance.skill_over_reference
    if chance is None:
        found = f"{performance.separate_windows:.1f} separate label windows, {MIN_BLOCKS} needed"
        return Review("keep", f"too few to tell: {found}", performance)
    found = (
        f"Brier score {performance.brier_score:.4f} against the reference's "
        f"{performance.reference_brier_score:.4f} on {performance.rows} live forecasts "
        f"({performance.separate_windows:.1f} separate label windows), chance {chance:.2g}"
    )
    if chance < rules.level and skill is not None and skill < 0:
        return Review("quarantine", f"worse than the reference beyond chance: {found}", performance)
    return Review("keep", found, performance)


def _previous_is_better(
    champion: pd.DataFrame, previous: pd.DataFrame, rules: ReviewRules
) -> str | None:
    """Say how far the previous version is ahead on the same days, if beyond chance."""
    if champion.empty or previous.empty:
        return None
    both = champion.merge(previous[[*_KEY, "probability"]], on=_KEY, suffixes=("", "_previous"))
    if both.empty:
        return None
    ours, theirs = _losses(both, "probability"), _losses(both, "probability_previous")
    chance = chance_of_excess_loss(ours - theirs, both["prediction_date"], rules.horizon)
    if chance is None or chance >= rules.level:
        return None
    return (
        f"the previous version does better in shadow: Brier score {theirs.mean():.4f} against "
        f"{ours.mean():.4f} on the same {len(both)} live days, chance {chance:.2g}"
    )


def _losses(outcomes: pd.DataFrame, column: str) -> pd.Series:
    return (outcomes[column].astype(np.float64) - outcomes["outcome"].astype(np.float64)) ** 2
