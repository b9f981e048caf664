"""What a day's forecasts and outcomes must satisfy before anything is concluded from them."""

from collections.abc import Mapping

import pandas as pd

PROBABILITIES = ("probability", "reference_probability")
_SAME = ("probability", "model_version")


def forecast_faults(forecasts: pd.DataFrame) -> dict[str, str]:
    """Name each member whose row is there twice, or states no probability."""
    faults: dict[str, str] = {}
    for name, rows in _by_member(forecasts).items():
        if len(rows) > 1:
            faults[name] = f"{len(rows)} rows"
        for column in PROBABILITIES:
            values = rows[column].astype(float)
            if not values.between(0, 1).all():
                faults[name] = f"{column} {values.iloc[0]}"
    return faults


def outcome_faults(outcomes: pd.DataFrame, forecasts: pd.DataFrame) -> dict[str, str]:
    """Name each member whose outcome is there twice, is none, or is of another forecast."""
    by_member = _by_member(forecasts)
    faults: dict[str, str] = {}
    for name, rows in _by_member(outcomes).items():
        if len(rows) > 1:
            faults[name] = f"{len(rows)} rows"
        elif name not in by_member:
            faults[name] = "no forecast"
        elif not rows["outcome"].isin((0.0, 1.0)).all():
            faults[name] = f"outcome {rows['outcome'].iloc[0]}"
        else:
            forecast, outcome = by_member[name].iloc[0], rows.iloc[0]
            other = [column for column in _SAME if str(outcome[column]) != str(forecast[column])]
            if other:
                faults[name] = f"another {other[0]} than its forecast"
    return faults


def _by_member(frame: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    if frame.empty:
        return {}
    return {
        f"{symbol}_{trend}": rows
        for (symbol, trend), rows in frame.groupby(["symbol", "trend"], sort=False)
    }
