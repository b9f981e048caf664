"""Frames of a small pool whose answers are known by hand."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd

from crypto_pool.domain.panel import expected_change, trend_probabilities
from crypto_pool.domain.performance import live_rows, measure
from crypto_pool.domain.recipe import Target

LAST = date(2026, 11, 23)
DAYS = 90
HORIZON = 10
MEMBERS = [("BTC", "uptrend"), ("BTC", "downtrend"), ("ETH", "uptrend")]
ALGORITHMS = {
    ("BTC", "uptrend"): "RidgeClassifier",
    ("BTC", "downtrend"): "RandomForest",
    ("ETH", "uptrend"): "AdaBoost",
}
SCORES = {"RidgeClassifier": 0.14, "XGBoost": 0.2, "SupportVectorMachine": None}
RECALLS = {"RidgeClassifier": 0.71, "XGBoost": 0.412, "SupportVectorMachine": 0.71}


def pool_frames(
    last: date = LAST,
    probability: float = 0.62,
    members: Sequence[tuple[str, str]] = MEMBERS,
) -> dict[str, pd.DataFrame]:
    """BTC with both champions and a past, ETH with one champion; every signal's fate is known.

    BTC uptrend signals on odd days, and of its due signals every third does not come true.
    """
    days = [last - timedelta(days=n) for n in range(DAYS)]
    predictions = pd.DataFrame(
        [
            _prediction(symbol, trend, day, n, probability)
            for symbol, trend in members
            for n, day in enumerate(days)
        ]
    )
    due = predictions[predictions["prediction_date"] <= last - timedelta(days=HORIZON)].copy()
    place = due.groupby(["symbol", "trend"]).cumcount()
    due["outcome"] = np.where(due["signal"], place % 3 != 0, place % 4 == 0).astype(float)
    champions = pd.DataFrame([_champion(symbol, trend, last) for symbol, trend in members])
    bars = pd.concat(
        [bars_of(symbol, last) for symbol in sorted({symbol for symbol, _ in members})]
    )
    due = due.assign(late=False)
    outcomes = due[
        [
            "prediction_date",
            "symbol",
            "trend",
            "probability",
            "signal",
            "status",
            "late",
            "reference_probability",
            "outcome",
            "in_sample",
            "model_version",
        ]
    ]
    return {
        "predictions": predictions,
        "prediction_outcomes": outcomes,
        "realised_performance": reviewed(outcomes, last),
        "panel_forecasts": _panel("BTC", last),
        "champions": champions,
        "candidate_scores": pd.DataFrame(
            [
                {"symbol": s, "trend": t, "algorithm": a, "status": "scored", "as_of": last,
                 "brier_score": b, "reference_brier_score": 0.15, "overall_score": 0.7,
                 "positive_accuracy": RECALLS[a], "negative_accuracy": 0.83}
                for s, t in members
                for a, b in SCORES.items()
            ]
        ),
        "daily_bars": bars,
    }  # fmt: skip


def reviewed(outcomes: pd.DataFrame, last: date) -> pd.DataFrame:
    """The rows of a review of these outcomes; every version had promised a precision of 0.66."""
    live = live_rows(outcomes.assign(promised_precision=0.66), last, 365, HORIZON)
    members = [
        {"symbol": symbol, "trend": trend, **measure(rows, HORIZON).row()}
        for (symbol, trend), rows in live.groupby(["symbol", "trend"])
    ]
    whole = {"symbol": "all", "trend": "all", **measure(live, HORIZON).row()}
    return pd.DataFrame([whole, *members]).assign(as_of=last)


def _prediction(symbol: str, trend: str, day: date, n: int, probability: float) -> dict:
    signal = n % 2 == 0
    return {
        "prediction_date": day,
        "symbol": symbol,
        "trend": trend,
        "probability": probability + 0.002 * n if signal else 0.2 + 0.001 * n,
        "signal": signal,
        "status": "active",
        "decision_threshold": 0.46,
        "reference_probability": 0.55 + 0.0015 * n if signal else 0.25 + 0.001 * n,
        "model_name": f"{symbol}_{trend}_model",
        "model_version": 3,
        "algorithm": ALGORITHMS.get((symbol, trend), "XGBoost"),
        "target_pct": 0.05,
        "prediction_window_days": HORIZON,
        "trained_through": day - timedelta(days=60),
        "in_sample": n > 80,
        "features": {"7_day_RSI": 61.0},
        "input_distance": 0.25 if trend == "uptrend" else 0.0,
        "furthest_input": "7_day_RSI" if trend == "uptrend" else "",
        "predicted_at_utc": datetime(day.year, day.month, day.day, 2, tzinfo=UTC),
        "synthetic": True,
    }


def _champion(symbol: str, trend: str, last: date) -> dict:
    return {
        "symbol": symbol,
        "trend": trend,
        "model_name": f"{symbol}_{trend}_model",
        "model_version": 3,
        "algorithm": ALGORITHMS.get((symbol, trend), "XGBoost"),
        "run_id": "r",
        "trained_through": last - timedelta(days=60),
        "as_of": last,
        "decision_threshold": 0.46,
        "evaluation_policy": "purged_walk_forward",
        "accuracy": 0.79,
        "precision": 0.66,
        "positive_accuracy": 0.71,
        "negative_accuracy": 0.83,
        "overall_score": 0.72,
        "brier_score": 0.12,
        "reference_brier_score": 0.15,
        "target": "sma_shift",
        "target_pct": 0.05,
        "prediction_window_days": HORIZON,
        "synthetic": True,
        "feature_importance": json.dumps(
            {"7_day_RSI": 0.031, "PPO": -0.02, "2_day_SMA_10_day_SMA_pct_diff": 0.05}
        ),
        "feature_importance_absolute": json.dumps(
            {"7_day_RSI": 0.06, "PPO": 0.03, "2_day_SMA_10_day_SMA_pct_diff": 0.05}
        ),
        "registered_at_utc": datetime(2026, 11, 24, 2, tzinfo=UTC),
    }


def bars_of(symbol: str, last: date, count: int = 200) -> pd.DataFrame:
    steps = np.random.default_rng(sum(map(ord, symbol))).normal(0, 0.03, count)
    close = 100 * np.exp(np.cumsum(steps))
    frame = pd.DataFrame({name: close for name in ("open", "high", "low", "close")})
    frame["volume"] = 1.0
    frame["date"] = pd.date_range(end=pd.Timestamp(last), periods=count)
    return frame.assign(symbol=symbol)


def _panel(symbol: str, last: date) -> pd.DataFrame:
    """The panel's last 60 days of a coin, by its own formulas."""
    rows, target = 60, Target()
    position, sigma = np.full(rows, 0.02), np.full(rows, 0.03)
    up, down = trend_probabilities(position, sigma, target)
    return pd.DataFrame(
        {
            "bar_date": [last - timedelta(days=n) for n in range(rows)],
            "symbol": symbol,
            "panel_up": up,
            "panel_down": down,
            "sigma": sigma,
            "position": position,
            "drift": -0.001,
            "level_usd": 50_000.0,
            **expected_change(position, sigma, 1.6, target),
            "origin": last - timedelta(days=rows),
            "target": target.kind,
            "target_pct": target.pct,
            "prediction_window_days": target.horizon,
        }
    )
