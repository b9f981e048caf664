"""What was promised against what was delivered, by the pool's own figures (`measure`).

Over live forecasts whose outcome is known, those that abstained left out:

- promised_*: mean, over the forecasts that count, of what the version that made each promised, once
  charged for its choice; so it is what an honest pool would have delivered. precision_gap is how
  far promised and realised precision lie apart.
- skill_over_reference: of what champions served; skill_with_baseline: with the forecasts that the
  baseline made where no champion served, which is the whole pool.
- candidates_skill: of the forecasts that an algorithm made, and no baseline.
- panel_skill: of the panel on the pool's rows that have one; pool_over_panel: the pool's skill with
  the panel in the reference's place, on the same rows.
- inside_80: the share of outcomes inside the panel's 80 % range.
- *_interval: 90 %, over blocks of days half as long again as labels overlap, inside_80's over
  blocks of 30 days; a day's coins stay together.

What is undefined (no forecast flagged, too few days for an interval) is null.
"""

from typing import Any

import numpy as np
import pandas as pd

from crypto_pool.domain.intervals import Estimate
from crypto_pool.domain.performance import measure, skill_of, verdict_of
from crypto_pool.domain.served_model import BASELINES

BINS = 10


def summarise(rows: pd.DataFrame, horizon: int) -> dict[str, Any]:
    """Give the figures of the module's docstring for live rows, outcomes beside predictions."""
    found = measure(rows, horizon)
    gap = None
    if found.promised_precision is not None and found.precision.value is not None:
        gap = abs(found.promised_precision - found.precision.value)
    whole = found.skill_with_baseline
    figures: dict[str, Any] = {
        "promised_precision": found.promised_precision,
        **_told("realised_precision", found.precision),
        "precision_gap": gap,
        "promised_recall": found.promised_recall,
        **_told("realised_recall", found.recall),
        "promised_brier": found.promised_brier_score,
        **_told("realised_brier", found.brier_score),
        "reference_brier": found.reference_brier_score,
        **_told("skill_over_reference", found.skill_over_reference),
        "verdict": str(found.verdict),
        **_told("skill_with_baseline", whole),
        "pool_verdict": str(verdict_of(whole)),
        "n_predictions": found.rows,
        "n_flagged": found.signals,
        "n_baseline_forecasts": found.baseline_rows,
    }
    return figures | _side_by_side(rows, horizon)


def _side_by_side(rows: pd.DataFrame, horizon: int) -> dict[str, Any]:
    """Compare the candidates, the panel and the pool on the same rows."""
    if rows.empty:
        names = ("candidates_skill", "panel_skill", "pool_over_panel")
        return {key: None for name in names for key in _told(name, Estimate())}
    ours = rows[~rows["algorithm"].isin(list(BASELINES))]
    known = rows[rows["panel_probability"].notna()]
    panel = known.assign(probability=known["panel_probability"])
    over = known.assign(reference_probability=known["panel_probability"])
    return {
        **_told("candidates_skill", skill_of(ours, horizon)),
        **_told("panel_skill", skill_of(panel, horizon)),
        **_told("pool_over_panel", skill_of(over, horizon)),
    }


def calibration_curve(rows: pd.DataFrame, column: str = "probability") -> list[dict[str, float]]:
    """Give mean forecast, realised share and count in ten equal bins; empty ones are left out."""
    if rows.empty:
        return []
    edges = np.linspace(0, 1, BINS + 1).tolist()
    bins = pd.cut(rows[column], edges, labels=False, include_lowest=True)
    return [
        {
            "mean_probability": float(part[column].mean()),
            "realised_share": float(part["outcome"].mean()),
            "n_predictions": len(part),
        }
        for _, part in rows.groupby(bins)
    ]


def _told(name: str, found: Estimate) -> dict[str, Any]:
    ends = None if found.low is None or found.high is None else [found.low, found.high]
    return {name: found.value, f"{name}_interval": ends}
