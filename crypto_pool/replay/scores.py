"""What was promised against what was delivered: figures over served forecasts.

How the pooled figures are defined, over forecasts of champions whose outcome is known, those that
abstained left out:

- promised_precision: mean, over the flagged forecasts, of the precision promised by the version
  that served them; so it is what an honest pool would have delivered.
- promised_recall: the same over the forecasts whose label came true; promised_brier: over all.
- realised_*: measured on the forecasts themselves, as on every surface of the pool.
- reference_brier: the random-walk reference on the same forecasts.
- base_rate_brier: the forecast that always quotes the share of label 1 among all labelled
  rows known when the serving champion was trained; the realised share was not known then.
- skill_over_reference: the Brier skill over the reference; skill_with_baseline: with the
  forecasts that the baseline made where no champion served.
- *_interval: 90 %, over blocks of days half as long again as labels overlap; a day's coins
  stay together.

What is undefined (no forecast flagged, too few days for an interval) is null.
"""

from typing import Any

import numpy as np
import pandas as pd

from crypto_pool.domain.intervals import Estimate
from crypto_pool.domain.performance import BASELINE, measure

BINS = 10


def summarise(forecasts: pd.DataFrame, horizon: int) -> dict[str, Any]:
    """Give the figures of the module's docstring for a frame of served forecasts.

    Its rows are indexed by bar date and have the columns label, probability,
    reference_probability, flagged, status, base_rate, symbol and trend, and what was promised.
    """
    if forecasts.empty:
        return {**dict.fromkeys(FIGURES), "n_predictions": 0, "n_members_with_champion": 0}
    spoken = forecasts[(forecasts["status"] != "abstain") & forecasts["label"].notna()]
    found = measure(
        spoken.rename(columns={"label": "outcome", "flagged": "signal"}).assign(
            prediction_date=spoken.index
        ),
        horizon,
    )
    served = spoken[spoken["status"] != BASELINE]
    members = forecasts.loc[forecasts["status"] != BASELINE, ["symbol", "trend"]]
    figures = (
        found.promised_precision,
        found.precision.value,
        _ends(found.precision),
        found.promised_recall,
        found.recall.value,
        found.promised_brier_score,
        found.brier_score.value,
        found.reference_brier_score,
        _mean((served["base_rate"] - served["label"]) ** 2),
        found.skill_over_reference.value,
        _ends(found.skill_over_reference),
        str(found.verdict),
        found.skill_with_baseline.value,
        _ends(found.skill_with_baseline),
        found.rows,
        found.signals,
        found.baseline_rows,
        int((forecasts["status"] == "abstain").sum()),
        len(members.drop_duplicates()),
    )
    return dict(zip(FIGURES, figures, strict=True))


FIGURES = (
    "promised_precision",
    "realised_precision",
    "realised_precision_interval",
    "promised_recall",
    "realised_recall",
    "promised_brier",
    "realised_brier",
    "reference_brier",
    "base_rate_brier",
    "skill_over_reference",
    "skill_over_reference_interval",
    "verdict",
    "skill_with_baseline",
    "skill_with_baseline_interval",
    "n_predictions",
    "n_flagged",
    "n_baseline_forecasts",
    "n_abstentions",
    "n_members_with_champion",
)


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


def _ends(estimate: Estimate) -> list[float] | None:
    return None if estimate.low is None or estimate.high is None else [estimate.low, estimate.high]


def _mean(values: pd.Series) -> float | None:
    mean = values.mean()
    return None if pd.isna(mean) else float(mean)
