"""The answers of the API; what is stored is described as domain/tables.py describes it.

`null` means not known or not defined, never zero; in all answers.
"""

import json
from collections.abc import Iterable
from datetime import date, datetime
from importlib.resources import files
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from crypto_pool.domain import columns as kinds
from crypto_pool.domain.columns import Column
from crypto_pool.domain.members import Trend
from crypto_pool.domain.odds import ExpectedMove
from crypto_pool.domain.tables import (
    CANDIDATE_SCORES,
    CHAMPIONS,
    OUTCOMES,
    PREDICTIONS,
    PROMOTIONS,
    REALISED_PERFORMANCE,
)

EXAMPLES = files("crypto_pool.serving") / "examples"
TYPES: dict[kinds.Kind, Any] = {
    kinds.DATE: date,
    kinds.TIMESTAMP: AwareDatetime,
    kinds.DOUBLE: float,
    kinds.INTEGER: int,
    kinds.BOOLEAN: bool,
    kinds.VARCHAR: str,
    kinds.VERSION: int,
    kinds.JSON: dict[str, Any],
}
STORED_AS = {
    "trend_type": "trend",
    "prediction_probabilities": "probability",
    "scored": "rows",
    **{f"realised_precision{end}": f"precision{end}" for end in ("", "_low", "_high")},
}
"""What is called otherwise in its table."""


class Answer(BaseModel):
    """Base of all answers; `model_version` and its like are field names here."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


def stored(columns: Iterable[Column], known: str, maybe: str) -> Any:
    """Return the base of an answer of stored values: those always known, and those maybe null."""
    of = {column.name: column for column in columns}
    fields: dict[str, Any] = {}
    for name in (*known.split(), *maybe.split()):
        column = of[STORED_AS.get(name, name)]
        kind = Trend if name == "trend_type" else TYPES[column.kind]
        bounds = {"minimum": column.low, "maximum": column.high}
        extra: dict[str, Any] = {key: end for key, end in bounds.items() if end is not None}
        about = Field(description=column.comment, json_schema_extra=extra)
        fields[name] = (kind if name in known.split() else kind | None, about)
    return create_model("Stored", __base__=Answer, **fields)


def _example(name: str) -> dict[str, Any]:
    """Return what puts an example into the description of the API."""
    return {"examples": [json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))]}


class ErrorAnswer(Answer):
    """The one shape of every error of the API."""

    error: str = Field(examples=["no_champion"], description="Stable code of the cause.")
    message: str = Field(
        examples=["DOGE_uptrend has no champion; train it, or ask /models for those that have."],
        description="What was wrong and the way out, for people.",
    )
    details: list[str] = Field(
        default=[], description="One line a fault, if the request had several."
    )


class PerformanceMetrics(
    stored(  # type: ignore[misc]
        CHAMPIONS.columns,
        "",
        "positive_accuracy negative_accuracy overall_score accuracy precision",
    )
):
    """Metrics at the decision threshold on the evaluation rows; null if undefined."""


class Model(
    stored(  # type: ignore[misc]
        CHAMPIONS.columns,
        "symbol trend_type",
        "target target_pct prediction_window_days model_name model_version algorithm "
        "decision_threshold evaluation_policy fault trained_through as_of brier_score "
        "reference_brier_score added_points skill_over_reference skill_over_reference_low "
        "skill_over_reference_high precision_low precision_high promised_precision "
        "promised_precision_low promised_precision_high promised_skill_over_reference "
        "promised_skill_over_reference_low promised_skill_over_reference_high "
        "effective_sample_size probability_of_overfitting candidates_tried registered_at_utc "
        "synthetic",
    )
):
    """The champion of one member."""

    model_config = ConfigDict(json_schema_extra=_example("model"))

    feature_importance: dict[str, float | None] | None = Field(
        description="Mean signed SHAP value a feature, in units of the predicted probability."
    )
    feature_importance_absolute: dict[str, float | None] | None = Field(
        description="Mean absolute SHAP value a feature: how far it moves the probability."
    )
    performance_metrics: PerformanceMetrics
    promised_verdict: str | None = Field(
        description="Better or worse than the reference by the interval of the promised skill, or "
        "cannot be told from it."
    )


class Contribution(Answer):
    """How far one input moved one forecast, in units of the predicted probability."""

    feature: str
    contribution: float


class Prediction(
    stored(  # type: ignore[misc]
        (*CHAMPIONS.columns, *PREDICTIONS.columns),
        "symbol trend_type prediction_date",
        "prediction_probabilities model_name model_version algorithm decision_threshold signal "
        "status abstain_reason late in_sample reference_probability panel_probability added_points "
        "skill_over_reference "
        "promised_precision promised_precision_low promised_precision_high target target_pct "
        "prediction_window_days trained_through predicted_at_utc synthetic",
    )
):
    """The latest forecast of one member."""

    model_config = ConfigDict(json_schema_extra=_example("prediction"))

    abstained: bool
    expected_move: ExpectedMove | None = Field(
        description="Where the coin's target is expected at the end of the horizon, by the panel: "
        "80 % of outcomes lie between the 10 % and the 90 % point."
    )
    age_days: int = Field(description="Closed days since the bar of the forecast.")
    stale: bool
    stale_reason: str | None
    top_contributions: list[Contribution] | None


class LiveRecord(
    stored(  # type: ignore[misc]
        REALISED_PERFORMANCE.columns,
        "scored days effective_sample_size signals",
        "realised_precision realised_precision_low realised_precision_high promised_precision "
        "base_rate brier_score reference_brier_score skill_over_reference skill_over_reference_low "
        "skill_over_reference_high skill_with_baseline inside_range inside_range_low "
        "inside_range_high verdict reason record_rows record_p_value",
    )
):
    """What came of live forecasts: made in time, not abstained, their horizon passed."""


class LedgerEntry(
    stored(  # type: ignore[misc]
        PROMOTIONS.columns,
        "",
        "decided_at_utc as_of decision reason model_name model_version algorithm serving_version "
        "champion_metrics challenger_metrics data_hash code_version dagster_run_id",
    )
):
    """One decision about who serves the member, with its reason."""


class MemberState(Answer):
    """One member today: who serves it, what it says, and whether it kept its word."""

    member: str = Field(examples=["SOL_uptrend"])
    symbol: str
    trend_type: Trend
    champion: Model | None
    forecast: Prediction | None
    why_no_forecast: str | None = Field(
        description="Why there is no forecast of the latest day that any member has one of."
    )
    record: LiveRecord
    last_decision: LedgerEntry | None
    drift: str | None = Field(
        description="How far outside its training span the input furthest outside lies, in "
        "widths of that span."
    )
    next_retrain: date = Field(
        description="Bar date the member is due for training at, by age, new rows, or because "
        "nobody speaks for it; drift, skill, code or schema may make it due earlier."
    )


def value_at(state: MemberState, path: str) -> Any:
    """Return what stands at a path such as `forecast.signal`; None where part of it is missing."""
    part: Any = state
    for name in path.split("."):
        part = getattr(part, name, None)
    return part


class PoolState(Answer):
    """The whole pool today."""

    publication: str = Field(examples=["crypto_pool-20261124T140248_165556Z.duckdb"])
    published_at_utc: datetime
    last_closed: date
    synthetic: bool
    record: LiveRecord
    members: list[MemberState]


class PastPrediction(
    stored(  # type: ignore[misc]
        (*PREDICTIONS.columns, *OUTCOMES.columns),
        "prediction_date symbol trend_type",
        "probability signal status decision_threshold reference_probability algorithm model_name "
        "model_version abstain_reason late in_sample outcome synthetic",
    )
):
    """One stored forecast; the outcome is null until its horizon has passed."""


class PredictionsPage(Answer):
    """A page of stored forecasts, the newest first."""

    total: int
    limit: int
    offset: int
    predictions: list[PastPrediction]


class CandidateScore(
    stored(  # type: ignore[misc]
        CANDIDATE_SCORES.columns,
        "",
        "algorithm status reason as_of overall_score precision brier_score reference_brier_score "
        "skill_over_reference added_points roc_auc",
    )
):
    """How one candidate did when last trained; the reason says which gates it does not pass."""


class MemberDetail(Answer):
    """A member with its ledger, its candidates and its latest forecasts and outcomes."""

    state: MemberState
    ledger: list[LedgerEntry]
    candidates: list[CandidateScore]
    predictions: list[PastPrediction]


class Health(Answer):
    """The process answers."""

    status: str = Field(examples=["ok"])


class Readiness(Answer):
    """Something has been published and can be read."""

    ready: bool
    publication: str
    published_at_utc: datetime
    fault: str | None = Field(description="Why a newer publication could not be read, if so.")
