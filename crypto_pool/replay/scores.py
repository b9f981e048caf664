"""What was promised against what was delivered: pure sums over served forecasts.

How the pooled figures are defined, over forecasts whose outcome is known:

- promised_precision: mean, over the flagged forecasts, of the precision the champion that
  served them was registered with; so it is what an honest pool would have delivered.
- promised_recall: the same over the forecasts whose label came true; promised_brier: over all.
- realised_*: measured on the forecasts themselves.
- reference_brier: the random-walk reference on the same forecasts.
- base_rate_brier: the forecast that always quotes the share of label 1 among all labelled
  rows known when the serving champion was trained; the realised share was not known then.
- skill_over_reference: the Brier skill of the realised over the reference's.
- skill_over_reference_interval: 90 %, block bootstrap over bar dates. A block of days is
  half as long again as labels overlap, and a day's coins stay together.

What is undefined (no forecast flagged, too few days for a bootstrap) is null.
"""

from typing import Any

import numpy as np
import pandas as pd

from crypto_pool.domain.evaluation import brier_skill
from crypto_pool.domain.intervals import CONFIDENCE, MIN_BLOCKS, block_rows, resampled_sums
from crypto_pool.domain.splits import purge_gap

BINS = 10


def summarise(forecasts: pd.DataFrame, horizon: int) -> dict[str, Any]:
    """Give the figures of the module's docstring for a frame of served forecasts.

    Its rows are indexed by bar date and have the columns label, probability,
    reference_probability, flagged, base_rate, promised_precision, promised_recall,
    promised_brier, symbol and trend.
    """
    if forecasts.empty:
        return {**dict.fromkeys(FIGURES), "n_predictions": 0, "n_members_with_champion": 0}
    members = forecasts[["symbol", "trend"]].drop_duplicates()
    known = forecasts[forecasts["label"].notna()]
    label = known["label"]
    flagged, positive = known["flagged"].astype(bool), label == 1
    brier = _mean((known["probability"] - label) ** 2)
    reference = _mean((known["reference_probability"] - label) ** 2)
    return {
        "promised_precision": _mean(known.loc[flagged, "promised_precision"]),
        "realised_precision": _mean(label[flagged]),
        "promised_recall": _mean(known.loc[positive, "promised_recall"]),
        "realised_recall": _mean(flagged[positive].astype(float)),
        "promised_brier": _mean(known["promised_brier"]),
        "realised_brier": brier,
        "reference_brier": reference,
        "base_rate_brier": _mean((known["base_rate"] - label) ** 2),
        "skill_over_reference": brier_skill(brier, reference),
        "skill_over_reference_interval": skill_interval(known, horizon),
        "n_predictions": len(known),
        "n_flagged": int(flagged.sum()),
        "n_members_with_champion": len(members),
    }


FIGURES = (
    "promised_precision",
    "realised_precision",
    "promised_recall",
    "realised_recall",
    "promised_brier",
    "realised_brier",
    "reference_brier",
    "base_rate_brier",
    "skill_over_reference",
    "skill_over_reference_interval",
    "n_predictions",
    "n_flagged",
    "n_members_with_champion",
)


def skill_interval(known: pd.DataFrame, horizon: int) -> list[float] | None:
    """Give the 90 % interval of the skill; None for fewer days than five blocks."""
    block = block_rows(purge_gap(horizon))
    errors = pd.DataFrame(
        {
            "ours": (known["probability"] - known["label"]) ** 2,
            "reference": (known["reference_probability"] - known["label"]) ** 2,
        }
    )
    if errors.empty:
        return None
    # Every day of the span, so that a block is a stretch of time also across days without any.
    days = pd.date_range(known.index.min(), known.index.max(), freq="D")
    if len(days) < MIN_BLOCKS * block:
        return None
    sums = errors.groupby(level=0).sum().reindex(days, fill_value=0.0)
    ours, reference = resampled_sums(sums.to_numpy(), block).T
    skill = brier_skill(ours, reference)
    tail = 100 * (1 - CONFIDENCE) / 2
    return [float(bound) for bound in np.nanpercentile(skill, [tail, 100 - tail])]


def calibration_curve(
    forecasts: pd.DataFrame, column: str = "probability"
) -> list[dict[str, float]]:
    """Give mean forecast, realised share and count in ten equal bins; empty ones are left out."""
    if forecasts.empty:
        return []
    known = forecasts[forecasts["label"].notna()]
    edges = np.linspace(0, 1, BINS + 1).tolist()
    bins = pd.cut(known[column], edges, labels=False, include_lowest=True)
    groups = known.assign(bin=bins).groupby("bin")
    return [
        {
            "mean_probability": float(rows[column].mean()),
            "realised_share": float(rows["label"].mean()),
            "n_predictions": len(rows),
        }
        for _, rows in groups
    ]


def _mean(values: pd.Series) -> float | None:
    mean = values.mean()
    return None if pd.isna(mean) else float(mean)
