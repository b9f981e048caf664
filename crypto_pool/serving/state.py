"""The state of the pool from the rows of one publication; pure, with today as an argument."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from crypto_pool.domain.evaluation import brier_skill
from crypto_pool.domain.gates import Gates
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.moments import why_stale
from crypto_pool.domain.odds import expected_move
from crypto_pool.domain.performance import promised_verdict
from crypto_pool.domain.staleness import RetrainRules
from crypto_pool.serving import schemas
from crypto_pool.serving.queries import Row

EVERYBODY = "all"  # symbol and trend of the pool's own track record


@dataclass(frozen=True)
class PoolRows:
    """What one publication says of its members, newest rows only."""

    publication: str
    published_at_utc: datetime
    predictions: list[Row] = field(default_factory=list)
    champions: list[Row] = field(default_factory=list)
    records: list[Row] = field(default_factory=list)
    decisions: list[Row] = field(default_factory=list)
    trainings: list[Row] = field(default_factory=list)
    missing: list[Row] = field(default_factory=list)
    symbols: tuple[str, ...] = ()
    panel: list[Row] = field(default_factory=list)


def pool_state(
    rows: PoolRows,
    symbols: Iterable[str],
    last_closed: date,
    rules: RetrainRules,
    *,
    synthetic_source: bool,
) -> schemas.PoolState:
    """Join the rows by member; the coins of `symbols` are there even without a row.

    `synthetic_source` counts only while no stored forecast and no champion says.
    """
    stored = (
        *(rows.predictions, rows.champions, rows.records),
        *(rows.decisions, rows.trainings, rows.missing),
    )
    tables = [{(row["symbol"], row["trend"]): row for row in table} for table in stored]
    predictions, champions, records, decisions, *_ = tables
    panel = {row["symbol"]: row for row in rows.panel}
    marks = [row.get("synthetic") for row in (*rows.predictions, *rows.champions)]
    known_marks = [synthetic for synthetic in marks if synthetic is not None]
    synthetic = any(known_marks) if known_marks else synthetic_source
    keys = {(symbol, str(trend)) for symbol in symbols for trend in Trend}
    keys |= set(predictions) | set(champions) | set(decisions)
    members = []
    for key in sorted(keys, key=lambda key: (key[0], key[1] != Trend.UPTREND)):
        forecast, champion, record, decision, training, missing = (
            table.get(key, {}) for table in tables
        )
        member, moves = Member(key[0], Trend(key[1])), panel.get(key[0], {})
        members.append(
            schemas.MemberState(
                member=member.name,
                symbol=member.symbol,
                trend_type=member.trend,
                champion=_model(champion, forecast) if champion else None,
                forecast=_prediction(forecast, champion, moves, last_closed) if forecast else None,
                why_no_forecast=missing.get("reason"),
                record=live_record(record),
                last_decision=ledger_entry(decision) if decision else None,
                drift=_drift(forecast),
                next_retrain=rules.next_training(
                    _first("trained_as_of", training) or _first("as_of", champion),
                    last_closed,
                    unserved=not champion or bool(_first("is_quarantined", training)),
                ),
            )
        )
    return schemas.PoolState(
        publication=rows.publication,
        published_at_utc=rows.published_at_utc,
        last_closed=last_closed,
        synthetic=synthetic,
        record=live_record(records.get((EVERYBODY, EVERYBODY), {})),
        members=members,
    )


def live_record(row: Row) -> schemas.LiveRecord:
    """Build what came of a member's forecasts, or of the pool's; without a review nothing did."""
    none = {"rows": 0, "days": 0, "signals": 0, "effective_sample_size": 0.0}
    return schemas.LiveRecord(**_pick(schemas.LiveRecord, row or none))


def past_prediction(row: Row) -> schemas.PastPrediction:
    """Build one stored forecast with its outcome."""
    told = {**row, "abstain_reason": row.get("abstain_reason") or None}
    return schemas.PastPrediction(**_pick(schemas.PastPrediction, told))


def candidate_score(row: Row) -> schemas.CandidateScore:
    """Build the score of one candidate; one that was scored is told the gates it does not pass."""
    reason = row.get("reason")
    if row.get("status") == "scored" and not reason:
        metrics = {name: _clean(value) for name, value in row.items()}
        reason = "; ".join(Gates().failures(metrics))
    return schemas.CandidateScore(**_pick(schemas.CandidateScore, {**row, "reason": reason}))


def ledger_entry(row: Row) -> schemas.LedgerEntry:
    """Build one decision of the ledger."""
    read = {name: _json(row.get(name)) for name in ("champion_metrics", "challenger_metrics")}
    return schemas.LedgerEntry(**_pick(schemas.LedgerEntry, {**row, **read}))


def _drift(row: Row) -> str | None:
    """Say how far outside its training span the input furthest outside lies."""
    widths, feature = row.get("input_distance"), row.get("furthest_input")
    if widths is None or math.isnan(widths):
        return None
    if widths == 0:
        return "inside"
    if math.isinf(widths):
        return f"{feature} never had another value"
    return f"{feature} {widths:.2g} widths outside"


def _model(row: Row, prediction: Row) -> schemas.Model:
    metrics = schemas.PerformanceMetrics(**_pick(schemas.PerformanceMetrics, row))
    derived = {
        "performance_metrics": metrics,
        "feature_importance": _json(row.get("feature_importance")),
        "feature_importance_absolute": _json(row.get("feature_importance_absolute")),
        "target": _first("target", row, prediction),
        "target_pct": _first("target_pct", row, prediction),
        "prediction_window_days": _first("prediction_window_days", row, prediction),
        "skill_over_reference": _skill_of(row),
        "promised_verdict": str(promised_verdict({k: _clean(v) for k, v in row.items()})),
        "synthetic": _first("synthetic", row, prediction),
    }
    return schemas.Model(**_pick(schemas.Model, {**row, **derived}))


def _prediction(row: Row, champion: Row, panel: Row, last_closed: date) -> schemas.Prediction:
    stale_reason = why_stale(row["prediction_date"], last_closed)
    contributions = _json(row.get("top_contributions"))
    # A promise belongs to the version that made the forecast, not to its successor.
    promise = champion if champion.get("model_version") == row.get("model_version") else {}
    derived = {
        "target": _first("target", row, champion),
        "abstained": row.get("status") == "abstain",
        "abstain_reason": row.get("abstain_reason") or None,
        "added_points": promise.get("added_points"),
        "skill_over_reference": _skill_of(promise),
        **{
            f"promised_precision{end}": _first(f"promised_precision{end}", promise)
            if _first("promised_precision", promise) is not None
            else promise.get(f"precision{end}")  # of a release before 1.1
            for end in ("", "_low", "_high")
        },
        "age_days": max(0, (last_closed - row["prediction_date"]).days),
        "stale": stale_reason is not None,
        "stale_reason": stale_reason,
        "expected_move": expected_move(panel)
        if panel.get("bar_date") == row["prediction_date"]
        else None,
        "top_contributions": contributions
        and [schemas.Contribution(**item) for item in contributions],
    }
    return schemas.Prediction(**_pick(schemas.Prediction, {**row, **derived}))


def _skill_of(row: Row) -> float | None:
    stored = _clean(row.get("skill_over_reference"))
    if stored is not None:
        return float(stored)
    brier: float | None = _clean(row.get("brier_score"))
    return brier_skill(brier, _clean(row.get("reference_brier_score")))


def _pick(schema: type[Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a schema's fields; absent and undefined ones are None, times are UTC."""
    return {
        name: _clean(row.get(schemas.STORED_AS.get(name, name))) for name in schema.model_fields
    }


def _first(name: str, *rows: Row) -> Any:
    values = (_clean(row.get(name)) for row in rows)
    return next((value for value in values if value is not None), None)


def _clean(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _json(text: Any) -> Any:
    """Content of a JSON column; NaN, which JSON does not know, becomes null."""
    return json.loads(text, parse_constant=lambda _: None) if isinstance(text, str) else text
