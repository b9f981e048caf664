"""What a day's forecasts and outcomes must satisfy before anything is concluded from them.

A member has one row in each: the store refuses a file that holds one twice.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

PROBABILITIES = ("probability", "reference_probability")
_SAME = ("probability", "model_version")


def forecast_faults(forecasts: pd.DataFrame) -> dict[str, str]:
    """Name each member whose row lacks a probability, its own or the reference's, and say which."""
    return {
        name: f"{column} {row[column]}"
        for name, row in _by_member(forecasts)
        for column in PROBABILITIES
        if row[column] is None or not 0 <= row[column] <= 1
    }


def outcome_faults(outcomes: pd.DataFrame, forecasts: pd.DataFrame) -> dict[str, str]:
    """Name each member whose outcome is none, or is of another forecast."""
    made = dict(_by_member(forecasts))
    faults = {name: _outcome_fault(row, made.get(name)) for name, row in _by_member(outcomes)}
    return {name: fault for name, fault in faults.items() if fault}


def _outcome_fault(scored: Mapping[Any, Any], forecast: Mapping[Any, Any] | None) -> str:
    if forecast is None:
        return "no forecast"
    if scored["outcome"] not in (0.0, 1.0):
        return f"outcome {scored['outcome']}"
    other = [column for column in _SAME if str(scored[column]) != str(forecast[column])]
    return f"another {other[0]} than its forecast" if other else ""


def _by_member(frame: pd.DataFrame) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    return ((f"{row['symbol']}_{row['trend']}", row) for row in frame.to_dict("records"))
