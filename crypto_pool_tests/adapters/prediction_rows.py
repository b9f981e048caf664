"""Rows of the table of predictions."""

import math
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd


def make_prediction(symbol: str = "BTC", **changes: Any) -> dict[str, Any]:
    return {
        "prediction_date": date(2024, 1, 31),
        "symbol": symbol,
        "trend": "uptrend",
        "probability": 0.1 + 0.2,
        "signal": False,
        "status": "active",
        "decision_threshold": 0.5,
        "reference_probability": math.nan,
        "model_name": f"{symbol}_uptrend_model",
        "model_version": "3",
        "algorithm": "XGBoost",
        "target_pct": 0.05,
        "prediction_window_days": 10,
        "trained_through": "2024-01-20",
        "in_sample": True,
        "features": {"MACD": 1 / 3, "7_day_RSI": 55.0, "PPO": None},
        "predicted_at_utc": datetime(2024, 2, 1, 1, 2, 3, tzinfo=UTC),
        "dagster_run_id": None,
        "synthetic": True,
    } | changes


def make_predictions(*rows: dict[str, Any]) -> dict[str, pd.DataFrame]:
    return {"predictions": pd.DataFrame(list(rows))}
