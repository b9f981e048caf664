"""One member's forecast for one bar date, and what became of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.versions import Version, model_name
from crypto_pool.domain.drift import InputSpan, abstention_reason, per_price
from crypto_pool.domain.explanation import contributions
from crypto_pool.domain.features import DAYS_AFTER_GAP
from crypto_pool.domain.fitting import BACKGROUND_ROWS, subsample
from crypto_pool.domain.labels import label_target
from crypto_pool.domain.market import Member
from crypto_pool.domain.moments import deadline_of, is_late
from crypto_pool.domain.recipe import Target, Terms
from crypto_pool.domain.reference import VOLATILITY_DAYS, random_walk_probability
from crypto_pool.domain.served_model import ServedModel
from crypto_pool.domain.standing import Standing
from crypto_pool.domain.tables import OUTCOMES, PREDICTIONS
from crypto_pool.domain.training import prediction_input, served_rows
from crypto_pool.errors import CorruptPartition, MissingFeatures, MissingPartition
from crypto_pool.workflow.history import name_gap, why_blocked
from crypto_pool.workflow.promotion.reconciling import Champion
from crypto_pool.workflow.snapshots import load_snapshot

TOP_CONTRIBUTIONS = 3


@dataclass(frozen=True)
class Forecaster:
    """A version that forecasts; `fault` says why it abstains, empty for one that may speak."""

    member: Member
    version: Version
    fault: str = ""


@dataclass
class FrameCache:
    """The stored frames of each coin and the models, read once whatever the number of days."""

    store: FrameStore
    _read: dict[tuple[str, str], pd.DataFrame] = field(default_factory=dict)
    _models: dict[tuple[str, str], ServedModel] = field(default_factory=dict)

    def model(self, registry: ModelRegistry, member: Member, version: Version) -> ServedModel:
        """Return a member's version, its files checked by what the ledger knows of them."""
        key = member.name, version.version
        if key not in self._models:
            self._models[key] = registry.versions.load(*key, version.model_hashes)
        return self._models[key]

    def read(self, table: str, symbol: str) -> pd.DataFrame:
        """Give a coin's frame."""
        if (table, symbol) not in self._read:
            self._read[table, symbol] = self.store.read(table, symbol)
        return self._read[table, symbol]


def choose_forecaster(
    registry: ModelRegistry,
    champion: Champion,
    decisions: pd.DataFrame,
    bar_date: date,
    terms: Terms,
) -> Forecaster | None:
    """Return who served when the bar date had closed, by the ledger.

    Where nobody did yet, today's champion forecasts if it was trained on no later bar. One on
    other terms than the pool's has a fault.

    Raises:
        ModelUnavailable: MLflow has lost that version.
    """
    standing, known = Standing.of(decisions, deadline_of(bar_date)), champion.version
    if standing.serving is None:
        if known is None or not was_trained_by(known, bar_date):
            return None
    elif known is None or standing.serving != known.version:
        known = registry.versions.get(champion.member.name, standing.serving)
    changed = terms.difference(known.tags)
    fault = f"its terms are not the pool's: {changed}" if changed else standing.quarantine
    return Forecaster(champion.member, known, fault)


def was_trained_by(version: Version, bar_date: date) -> bool:
    """Whether a version was trained on no later bar, so that it may forecast that day."""
    return date.fromisoformat(version.tags["as_of"]) <= bar_date


def forecast(
    frames: FrameCache,
    registry: ModelRegistry,
    forecaster: Forecaster,
    bar_date: date,
    now: datetime,
    seed: int,
    abstain_beyond_widths: float | None = None,
) -> dict[str, Any]:
    """One row of the table predictions, without run id.

    It abstains if its version has a fault, after a shock, or if an input lies more than
    `abstain_beyond_widths` widths of its training span outside; None: however far.

    Raises:
        MissingFeatures: the coin has no complete feature row for that bar date, or is blocked.
    """
    member, tags = forecaster.member, forecaster.version.tags
    features = frames.read("feature_table", member.symbol)
    day = pd.Timestamp(bar_date)
    stored = frames.read("daily_bars", member.symbol)
    blocked = why_blocked(frames.store, member.symbol, stored, bar_date)
    if blocked:
        raise MissingFeatures(blocked)
    if day not in features.index:
        raise MissingFeatures(_why_no_row(member, bar_date, stored, features.index))
    target = Target.from_settings(tags)
    reference = reference_of(frames, member, bar_date, target)
    row = prediction_input(features.loc[[day]], pd.Series([reference], index=[day]))
    model = frames.model(registry, member, forecaster.version)
    trained = _trained_rows(frames.store, tags)
    closes = stored["close"]
    span = InputSpan.of(per_price(trained[list(model.feature_names)], closes))
    distance = span.distance(per_price(features.loc[[day]], closes).iloc[0])
    abstains = forecaster.fault or abstention_reason(
        distance, closes.loc[:day], abstain_beyond_widths
    )
    probability = float(model.predict_probability(row)[0])
    background = subsample(trained, BACKGROUND_ROWS)
    explained = contributions(model, background, row, seed, TOP_CONTRIBUTIONS)
    threshold = float(tags["decision_threshold"])
    trained_through = date.fromisoformat(tags["trained_through"])
    chosen_through = date.fromisoformat(tags["chosen_through"])
    own = {
        "prediction_date": bar_date,
        "probability": probability,
        "signal": probability > threshold and not abstains,
        "status": "abstain" if abstains else "active",
        "late": is_late(now, bar_date),
        "abstain_reason": abstains,
        "input_distance": distance.widths,
        "furthest_input": distance.feature,
        "reference_probability": reference,
        "model_name": model_name(member.name),
        "model_version": forecaster.version.version,
        "algorithm": tags["classifier"],
        "in_sample": bar_date
        < max(trained_through, chosen_through) + timedelta(days=target.horizon),
        "features": features.loc[day].to_dict(),
        "top_contributions": [asdict(largest) for largest in explained],
        "predicted_at_utc": now,
    }
    return PREDICTIONS.row(own, vars(member), tags)


def reference_of(frames: FrameCache, member: Member, bar_date: date, target: Target) -> float:
    """Return the reference's probability of a day.

    Raises:
        MissingFeatures: there is none, or the coin is blocked.
    """
    day, bars = pd.Timestamp(bar_date), frames.read("daily_bars", member.symbol)
    if day not in bars.index:
        raise MissingFeatures(
            f"{member.name} has no bar of {bar_date}; its bars run from "
            f"{bars.index.min():%Y-%m-%d} to {bars.index.max():%Y-%m-%d}"
        )
    blocked = why_blocked(frames.store, member.symbol, bars, bar_date)
    if blocked:
        raise MissingFeatures(blocked)
    known = bars.loc[:day].tail(VOLATILITY_DAYS + 1)
    reference = random_walk_probability(known, member.trend, target).loc[day]
    if pd.isna(reference):
        gap = name_gap(bars, bar_date, VOLATILITY_DAYS + 1, "the reference begins")
        raise MissingFeatures(
            f"{member.name} has no reference forecast for {bar_date}: it needs 60 daily returns "
            f"without a gap and a price that moves{'; ' if gap else ''}{gap}."
        )
    return float(reference)


def _why_no_row(member: Member, bar_date: date, bars: pd.DataFrame, rows: pd.Index) -> str:
    """Say why a bar date has no features, and the day to ask for instead."""
    missing = f"{member.name} has no feature row for {bar_date}"
    first, last = f"{rows.min():%Y-%m-%d}", f"{rows.max():%Y-%m-%d}"
    ends = bars.index.max().date()
    if bar_date > ends:
        return f"{missing}; its bars end {ends}: use --date {last}"
    gap = name_gap(bars, bar_date, DAYS_AFTER_GAP, "features begin")
    if gap:
        return f"{missing}: {gap}"
    return (
        f"{missing}; its rows run from {first} to {last}. "
        "Materialise daily_bars and feature_table, or ask for another day."
    )


def _trained_rows(store: FrameStore, tags: Mapping[str, str]) -> pd.DataFrame:
    return served_rows(load_snapshot(store, tags["data_hash"])).loc[: tags["trained_through"]]


def score_predictions(
    store: FrameStore, predictions: pd.DataFrame, now: datetime
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return rows of prediction_outcomes of the predictions whose label is known.

    Besides, by coin, why its bars cannot be read.
    """
    frames = FrameCache(store)
    scored: list[dict[str, Any]] = []
    faults: dict[str, str] = {}
    for row in predictions.to_dict("records"):
        try:
            bars = frames.read("daily_bars", row["symbol"])
        except (CorruptPartition, MissingPartition) as fault:  # one coin never stops the others
            faults[row["symbol"]] = f"{type(fault).__name__}: {fault}"
            continue
        labels = label_target(bars, row["trend"], Target.from_settings(row))
        outcome = labels.get(pd.Timestamp(row["prediction_date"]))
        if outcome is not None and not pd.isna(outcome):
            own = {"outcome": outcome, "scored_at_utc": now}
            scored.append(OUTCOMES.row(own, {str(name): value for name, value in row.items()}))
    return scored, faults
