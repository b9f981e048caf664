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
    performance = measure(rows, horizon)
    gap = None
    if performance.promised_precision is not None and performance.precision.value is not None:
        gap = abs(performance.promised_precision - performance.precision.value)
    whole = performance.skill_with_baseline
    figures: dict[str, Any] = {
        "promised_precision": performance.promised_precision,
        **_with_interval("realised_precision", performance.precision),
        "precision_gap": gap,
        "promised_recall": performance.promised_recall,
        **_with_interval("realised_recall", performance.recall),
        "promised_brier": performance.promised_brier_score,
        **_with_interval("realised_brier", performance.brier_score),
        "reference_brier": performance.reference_brier_score,
        **_with_interval("skill_over_reference", performance.skill_over_reference),
        "verdict": str(performance.verdict),
        **_with_interval("skill_with_baseline", whole),
        "pool_verdict": str(verdict_of(whole)),
        "n_predictions": performance.rows,
        "n_flagged": performance.signals,
        "n_baseline_forecasts": performance.baseline_rows,
    }
    return figures | _side_by_side(rows, horizon)


def _side_by_side(rows: pd.DataFrame, horizon: int) -> dict[str, Any]:
    """Compare the candidates, the panel and the pool on the same rows."""
    if rows.empty:
        names = ("candidates_skill", "panel_skill", "pool_over_panel")
        return {key: None for name in names for key in _with_interval(name, Estimate())}
    ours = rows[~rows["algorithm"].isin(list(BASELINES))]
    known = rows[rows["panel_probability"].notna()]
    panel = known.assign(probability=known["panel_probability"])
    over = known.assign(reference_probability=known["panel_probability"])
    return {
        **_with_interval("candidates_skill", skill_of(ours, horizon)),
        **_with_interval("panel_skill", skill_of(panel, horizon)),
        **_with_interval("pool_over_panel", skill_of(over, horizon)),
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


def _with_interval(name: str, estimate: Estimate) -> dict[str, Any]:
    ends = None if estimate.low is None or estimate.high is None else [estimate.low, estimate.high]
    return {name: estimate.value, f"{name}_interval": ends}
