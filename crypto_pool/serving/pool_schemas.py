"""The pool, its members and what came of their forecasts, as the API answers."""

from datetime import date, datetime
from typing import Any

from pydantic import AwareDatetime, Field

from crypto_pool.domain.market import Trend
from crypto_pool.serving.schemas import Answer, Model, Prediction


class LiveRecord(Answer):
    """What came of live forecasts: made in time, not abstained, their horizon passed."""

    scored: int = Field(description="Forecasts of champions.")
    days: int = Field(description="Days they were made of.")
    effective_sample_size: float = Field(description="Label windows in those days, apart.")
    signals: int = Field(description="How many of them were signals.")
    realised_precision: float | None = Field(description="Share of the signals that came true.")
    realised_precision_low: float | None = Field(description="Ends of its 90 % interval.")
    realised_precision_high: float | None
    promised_precision: float | None = Field(
        description="Mean of what the versions that signalled had promised."
    )
    base_rate: float | None
    brier_score: float | None
    reference_brier_score: float | None
    skill_over_reference: float | None
    skill_over_reference_low: float | None = Field(description="Ends of its 90 % interval.")
    skill_over_reference_high: float | None
    skill_with_baseline: float | None = Field(
        description="The skill with the forecasts of the baseline among the champions'."
    )
    inside_range: float | None = Field(
        description="Share of all outcomes in the panel's range, of the 0.8 it promises."
    )
    inside_range_low: float | None = Field(description="Ends of its 90 % interval.")
    inside_range_high: float | None
    verdict: str | None = Field(
        description="Better or worse than the reference, or cannot be told from it."
    )
    reason: str | None = Field(description="Why, in words; of the pool what chance alone gives.")


class LedgerEntry(Answer):
    """One decision about who serves the member, with its reason."""

    decided_at_utc: AwareDatetime | None
    as_of: date | None
    decision: str | None = Field(
        description="promoted, replaced, refreshed (expired in entries of 1.0), kept, rejected, "
        "stood down, rolled back or quarantined."
    )
    reason: str | None
    model_name: str | None
    model_version: int | None
    algorithm: str | None
    serving_version: int | None
    champion_metrics: dict[str, Any] | None
    challenger_metrics: dict[str, Any] | None
    data_hash: str | None
    code_version: str | None
    dagster_run_id: str | None


class MemberState(Answer):
    """One member today: who serves it, what it says, and whether it kept its word."""

    member: str = Field(examples=["SOL_uptrend"])
    symbol: str
    trend_type: Trend
    champion: Model | None
    forecast: Prediction | None
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


class PoolState(Answer):
    """The whole pool today."""

    publication: str = Field(examples=["crypto_pool-20261124T140248_165556Z.duckdb"])
    published_at_utc: datetime
    last_closed: date
    synthetic: bool
    record: LiveRecord
    members: list[MemberState]


class PastPrediction(Answer):
    """One stored forecast; the outcome is null until its horizon has passed."""

    prediction_date: date
    symbol: str
    trend_type: Trend
    probability: float | None
    signal: bool | None
    status: str | None
    decision_threshold: float | None
    reference_probability: float | None
    algorithm: str | None
    model_name: str | None
    model_version: int | None
    in_sample: bool | None
    outcome: float | None = Field(description="1 if the trend came, 0 if not.")
    synthetic: bool | None


class PredictionsPage(Answer):
    """A page of stored forecasts, the newest first."""

    total: int
    limit: int
    offset: int
    predictions: list[PastPrediction]


class CandidateScore(Answer):
    """How one candidate of the member did when it was last trained."""

    algorithm: str | None
    status: str | None
    reason: str | None = Field(
        description="Why it could not be scored, or which gates it does not pass; empty if it "
        "passes all."
    )
    as_of: date | None
    overall_score: float | None
    precision: float | None
    brier_score: float | None
    reference_brier_score: float | None
    skill_over_reference: float | None
    added_points: float | None
    roc_auc: float | None


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
