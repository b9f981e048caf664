"""One member's forecast for one bar date, and what became of it."""

import math
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import pandas as pd

from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.version import Version, model_name
from crypto_pool.domain.drift import Distance, abstention_reason, per_price, shock_sigmas
from crypto_pool.domain.explanation import contributions
from crypto_pool.domain.features import DAYS_AFTER_GAP
from crypto_pool.domain.fitting import BACKGROUND_ROWS, subsample
from crypto_pool.domain.labels import label_change
from crypto_pool.domain.members import Member
from crypto_pool.domain.moments import deadline_of, is_late
from crypto_pool.domain.recipe import Target, Terms
from crypto_pool.domain.served_model import BASELINES
from crypto_pool.domain.tables import OUTCOMES, PREDICTIONS
from crypto_pool.domain.training import prediction_input
from crypto_pool.domain.who_serves import Standing
from crypto_pool.errors import CorruptPartition, MissingFeatures, MissingPartition
from crypto_pool.workflow.baseline import Baseline
from crypto_pool.workflow.frames import FrameCache, reference_of
from crypto_pool.workflow.history import name_gap
from crypto_pool.workflow.promotion.reconciling import Champion, version_of

TOP_CONTRIBUTIONS = 3


@dataclass(frozen=True)
class ServingVersion:
    """A version that forecasts; `fault` says why it abstains, empty for one that may speak."""

    member: Member
    version: Version
    fault: str = ""


def choose_forecaster(
    registry: ModelRegistry,
    champion: Champion,
    decisions: pd.DataFrame,
    bar_date: date,
    terms: Terms,
) -> ServingVersion | None:
    """Return who served when the bar date had closed, by the ledger.

    Where nobody did yet, today's champion forecasts if it was trained on no later bar. One on
    other terms than the pool's has a fault.

    Raises:
        ModelUnavailable: MLflow has lost that version, or it is not what the ledger names.
    """
    standing, known = Standing.of(decisions, deadline_of(bar_date)), champion.version
    if standing.serving is None:
        if known is None or not was_trained_by(known, bar_date):
            return None
    elif known is None or standing.serving != known.version:
        known = version_of(registry, champion.member, standing)
    return ServingVersion(champion.member, known, terms.fault(known.tags) or standing.quarantine)


def was_trained_by(version: Version, bar_date: date) -> bool:
    """Whether a version was trained on no later bar, so that it may forecast that day."""
    return date.fromisoformat(version.tags["as_of"]) <= bar_date


def forecast(
    frames: FrameCache,
    registry: ModelRegistry,
    forecaster: ServingVersion,
    bar_date: date,
    now: datetime,
    seed: int,
    abstain_beyond_widths: float | None = None,
    baseline: Baseline | None = None,
    most: int = TOP_CONTRIBUTIONS,
) -> dict[str, Any]:
    """One row of the table predictions, without run id.

    It abstains if its version has a fault, after a shock, or if an input lies more than
    `abstain_beyond_widths` widths of its training span outside; None: however far. It names at
    most so many contributions.

    Raises:
        MissingFeatures: an input of the version is missing: the coin's feature row, its reference
            or the panel's forecast; or the coin is blocked.
    """
    member, tags = forecaster.member, forecaster.version.tags
    day, is_baseline = pd.Timestamp(bar_date), tags["classifier"] in BASELINES
    stored = frames.read("daily_bars", member.symbol)
    closes = stored["close"]
    # A baseline needs none.
    features = pd.DataFrame() if is_baseline else frames.read("feature_table", member.symbol)
    if not is_baseline and day not in features.index:
        raise MissingFeatures(
            frames.why_blocked(member.symbol, bar_date)
            or _why_no_row(member, bar_date, stored, features.index)
        )
    target = Target.from_settings(tags)
    reference = reference_of(frames, member, bar_date, target)
    panel = None
    if baseline is not None and baseline.target == target:
        panel = baseline.panel_of(member, bar_date)
    row = frames.once(
        ("row", member, day, target, panel, is_baseline),
        lambda: prediction_input(
            features.reindex([day]),
            pd.Series([reference], [day]),
            None if panel is None else pd.Series([panel], [day]),
        ),
    )
    model = frames.model(registry, member, forecaster.version)
    inputs = {str(model.anchor): float(row[model.anchor].iloc[0])}
    if math.isnan(inputs[model.anchor]):
        raise MissingFeatures(
            forecaster.fault
            or f"{member.name} has no panel forecast for {bar_date}, to which version "
            f"{forecaster.version.version} is anchored; materialise panel_forecasts"
        )
    distance, explained = Distance(0.0, ""), []
    if is_baseline and baseline is not None and most:
        explained = baseline.contributions(member, bar_date, reference, model.algorithm)
    elif not is_baseline:
        if not {*model.feature_names} <= {*features.columns}:
            raise MissingFeatures(f"{member.name} takes other features: {forecaster.fault}")
        trained, span = frames.trained_rows(tags, closes)
        in_span = frames.once(
            ("in span", member.symbol, day),
            lambda: per_price(features.loc[[day]], closes).iloc[0],
        )
        distance = span.distance(in_span)
        if most:
            background = subsample(trained.dropna(subset=[model.anchor]), BACKGROUND_ROWS)
            largest_contributions = contributions(model, background, row, seed, most)
            explained = [asdict(largest) for largest in largest_contributions]
        inputs = frames.once(("inputs", member.symbol, day), lambda: dict(features.loc[day]))
    shock = frames.once(("shock", member.symbol, day), lambda: shock_sigmas(closes.loc[:day]))
    abstains = forecaster.fault or abstention_reason(distance, shock, abstain_beyond_widths)
    probability = float(model.predict_probability(row)[0])
    known_through = date.fromisoformat(max(tags["trained_through"], tags["chosen_through"]))
    own = {
        "prediction_date": bar_date,
        "probability": probability,
        "signal": probability > float(tags["decision_threshold"]) and not abstains,
        "status": "abstain" if abstains else "active",
        "late": is_late(now, bar_date),
        "abstain_reason": abstains,
        "input_distance": distance.ood_distance,
        "furthest_input": distance.feature,
        "reference_probability": reference,
        "panel_probability": panel,
        "model_name": model_name(member.name),
        "model_version": forecaster.version.version,
        "algorithm": tags["classifier"],
        "in_sample": bar_date < known_through + timedelta(days=target.horizon),
        "features": inputs,
        "top_contributions": explained,
        "predicted_at_utc": now,
    }
    return PREDICTIONS.row(own, vars(member), tags)


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


def score_predictions(
    frames: FrameCache, predictions: pd.DataFrame, now: datetime, panel: pd.DataFrame
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return rows of prediction_outcomes of the predictions whose label is known.

    Besides, by coin, why its bars cannot be read. `panel` are the stored panel forecasts, by
    which an outcome lay in the range or not.
    """
    scored: list[dict[str, Any]] = []
    faults: dict[str, str] = {}
    for row in predictions.to_dict("records"):
        what = row["symbol"], row["trend"], row["prediction_date"], Target.from_settings(row)
        try:
            came = frames.once(("came", *what), partial(_what_came, frames, *what, panel))
        except (CorruptPartition, MissingPartition) as fault:  # one coin never stops the others
            faults[row["symbol"]] = f"{type(fault).__name__}: {fault}"
            continue
        if came is not None:
            forecast_row = {str(name): value for name, value in row.items()}
            scored.append(OUTCOMES.row(came, {"scored_at_utc": now}, forecast_row))
    return scored, faults


def _what_came(
    frames: FrameCache,
    symbol: str,
    trend: str,
    bar_date: date,
    target: Target,
    panel: pd.DataFrame,
) -> dict[str, Any] | None:
    """Return what came of a member's day, None while it is not known."""
    day = pd.Timestamp(bar_date)
    change = frames.changes(symbol, target).reindex([day])
    if change.isna().any():
        return None
    return {
        "outcome": label_change(change, trend, target).iloc[0],
        "change_pct": change.iloc[0],
        "inside_range": _is_inside(panel, (day, symbol), change.iloc[0], target),
    }


def _is_inside(
    panel: pd.DataFrame, key: tuple[pd.Timestamp, str], change: float, target: Target
) -> bool | None:
    """Whether a change lay in the panel's range of a day; None without one of its target."""
    if key not in panel.index:
        return None
    known = panel.iloc[panel.index.get_loc(key)]
    if (known["target"], known["prediction_window_days"]) != (target.kind, target.horizon):
        return None
    return bool(known["change_10_pct"] <= change <= known["change_90_pct"])
