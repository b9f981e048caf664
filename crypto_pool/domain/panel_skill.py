"""What the panel's forecasts were worth: skill over the reference, and outcomes inside its range.

All coins of a day are resampled together, in blocks of days: coins move as one.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crypto_pool.domain.evaluation import brier_skill
from crypto_pool.domain.intervals import (
    CONFIDENCE,
    Estimate,
    all_or_none_interval,
    resampled_sums,
)
from crypto_pool.domain.label_windows import MIN_BLOCKS
from crypto_pool.domain.panel import (
    exceedance_probability,
    realised_events,
    reference_exceedance,
    reference_probabilities,
)
from crypto_pool.domain.recipe import ROUNDING, Target

BLOCK_DAYS = 30


def score_panel(forecasts: pd.DataFrame, table: pd.DataFrame, target: Target) -> pd.DataFrame:
    """Return the scored rows of panel forecasts, those whose outcome a panel table knows.

    `error` and `reference_error` are the squared errors of both trends added up, `inside`
    whether the realised change lay in the 80 % range.
    """
    known = table[["change", "s60", "mechanical_position"]].dropna()
    rows = forecasts.join(known, how="inner")
    events = realised_events(rows, target)
    ours = rows[["panel_up", "panel_down"]].to_numpy().T
    reference = reference_probabilities(rows, target)
    inside = np.expm1(rows["change"]).between(rows["change_10_pct"], rows["change_90_pct"])
    return pd.DataFrame(
        {
            "error": ((ours - events) ** 2).sum(axis=0),
            "reference_error": ((reference - events) ** 2).sum(axis=0),
            "inside": inside.astype(np.float64),
        },
        index=rows.index,
    )


def panel_skill(scored: pd.DataFrame) -> Estimate:
    """Return the Brier skill over the reference of scored rows; no interval for too few days."""
    loss, low, high = _ratio(scored, "error", "reference_error")
    return Estimate(*(None if end is None else 1 - end for end in (loss, high, low)))


def range_coverage(scored: pd.DataFrame) -> Estimate:
    """Return the share of outcomes inside the 80 % range; no interval for too few days."""
    share = _ratio(scored.assign(row=1.0), "inside", "row")
    if share.low is None or share.value not in (0, 1):
        return share
    rows = scored.groupby(level="bar_date").size().asfreq("D", fill_value=0)
    return Estimate(share.value, *all_or_none_interval(share.value, rows.to_numpy(), BLOCK_DAYS))


def by_half_year(scored: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return scored rows by the half-year of their bar date, `2020-H1`, in order of time."""
    dates = pd.DatetimeIndex(scored.index.get_level_values("bar_date"))
    halves = [f"{day.year}-H{1 if day.month <= 6 else 2}" for day in dates]
    return {str(half): rows for half, rows in scored.groupby(halves)}


def skill_by_move(
    forecasts: pd.DataFrame, table: pd.DataFrame, target: Target, moves: Sequence[float]
) -> dict[float, float]:
    """Return for each size of move the Brier skill of P(change >= move) over the reference's."""
    rows = forecasts.join(table[["change", "s60", "mechanical_position"]].dropna(), how="inner")
    position, sigma = rows["position"].to_numpy(), rows["sigma"].to_numpy()
    losses = np.zeros((len(moves), 2))
    for place, move in enumerate(moves):
        came = rows["change"].to_numpy() >= np.log1p(move) - ROUNDING
        ours = exceedance_probability(position, sigma, move, target)
        reference = reference_exceedance(rows, move, target)
        losses[place] = np.sum((ours - came) ** 2), np.sum((reference - came) ** 2)
    return dict(zip(moves, map(float, brier_skill(losses[:, 0], losses[:, 1])), strict=True))


def _ratio(scored: pd.DataFrame, part: str, whole: str) -> Estimate:
    sums = scored.groupby(level="bar_date")[[part, whole]].sum()
    total = sums.sum()
    if not total[whole] > 0:
        return Estimate()
    value = float(total[part] / total[whole])
    days = pd.date_range(sums.index.min(), sums.index.max())
    if len(days) < MIN_BLOCKS * BLOCK_DAYS:
        return Estimate(value)
    parts, wholes = resampled_sums(sums.reindex(days, fill_value=0.0).to_numpy(), BLOCK_DAYS).T
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(parts[wholes > 0] / wholes[wholes > 0], [tail, 100 - tail])
    return Estimate(value, float(low), float(high))
