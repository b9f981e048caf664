"""One member's forecast for one bar date, and what became of it."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.model_records import ChampionRecord
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.labels import label_trend
from crypto_pool.domain.market import Member
from crypto_pool.domain.reference import random_walk_probability
from crypto_pool.domain.training import TrainingTable, prediction_input, training_table
from crypto_pool.errors import MissingFeatures


def member_table(
    store: FrameStore, member: Member, as_of: date, settings: Mapping[str, Any], training_rows: int
) -> TrainingTable:
    """The labelled rows of one member that were known when the bar of `as_of` closed."""
    bars = store.read("daily_bars", member.symbol)
    return training_table(
        bars,
        store.read("feature_table", member.symbol),
        store.read("raw_indicators", member.symbol),
        member.trend,
        pd.Timestamp(as_of),
        settings["prediction_window_days"],
        settings["target_pct"],
        training_rows,
    )


def forecast(
    store: FrameStore,
    registry: ModelRegistry,
    member: Member,
    champion: ChampionRecord,
    bar_date: date,
    now: datetime,
) -> dict[str, Any]:
    """One row of the table predictions, without run id.

    Raises:
        MissingFeatures: the coin has no complete feature row for that bar date.
    """
    features = store.read("feature_table", member.symbol)
    day = pd.Timestamp(bar_date)
    if day not in features.index:
        raise MissingFeatures(
            f"{member.name} has no feature row for {bar_date}; its rows run from "
            f"{features.index.min():%Y-%m-%d} to {features.index.max():%Y-%m-%d}. "
            "Materialise daily_bars and feature_table, or ask for another day."
        )
    horizon = int(champion.tags["prediction_window_days"])
    target = float(champion.tags["target_pct"])
    bars = store.read("daily_bars", member.symbol).loc[:day]
    reference = random_walk_probability(bars, member.trend, horizon, target).loc[day]
    if pd.isna(reference):
        raise MissingFeatures(
            f"{member.name} has no reference forecast for {bar_date}: it needs 60 daily returns "
            "without a gap and a price that moves."
        )
    row = prediction_input(features.loc[[day]], pd.Series([reference], index=[day]))
    model = registry.load(member.name, champion.version)
    probability = float(model.predict_probability(row)[0])
    threshold = float(champion.tags["decision_threshold"])
    trained_through = date.fromisoformat(champion.tags["trained_through"])
    chosen_through = date.fromisoformat(champion.tags["chosen_through"])
    served_in_time = champion.registered_at_utc.date() <= bar_date + timedelta(days=1)
    return {
        "prediction_date": bar_date,
        "symbol": member.symbol,
        "trend": str(member.trend),
        "probability": probability,
        "signal": probability > threshold,
        "status": "active" if served_in_time else "late",
        "decision_threshold": threshold,
        "reference_probability": float(reference),
        "model_name": f"{member.name}_model",
        "model_version": str(champion.version),
        "algorithm": champion.tags["classifier"],
        "target_pct": target,
        "prediction_window_days": horizon,
        "trained_through": trained_through,
        "in_sample": bar_date <= max(trained_through + timedelta(days=horizon), chosen_through),
        "features": json.dumps(
            {str(k): v for k, v in features.loc[[day]].to_dict("records")[0].items()}
        ),
        "predicted_at_utc": pd.Timestamp(now).tz_convert("UTC").tz_localize(None),
    }


def score_predictions(
    store: FrameStore, predictions: pd.DataFrame, time_period: int, now: datetime
) -> pd.DataFrame:
    """Rows of the table prediction_outcomes: the predictions whose label is known."""
    scored = []
    for row in predictions.to_dict("records"):
        bars = store.read("daily_bars", row["symbol"])
        indicators = compute_indicators(bars, time_period=time_period)
        labels = label_trend(
            indicators, row["trend"], row["prediction_window_days"], row["target_pct"]
        )
        outcome = labels.get(pd.Timestamp(row["prediction_date"]))
        if outcome is None or pd.isna(outcome):
            continue
        kept = (
            "prediction_date",
            "symbol",
            "trend",
            "probability",
            "signal",
            "reference_probability",
            "in_sample",
            "model_version",
        )
        scored.append(
            {
                **{name: row[name] for name in kept},
                "outcome": float(outcome),
                "scored_at_utc": pd.Timestamp(now).tz_convert("UTC").tz_localize(None),
            }
        )
    return pd.DataFrame(scored)
