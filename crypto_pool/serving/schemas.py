"""What the API answers with. `null` means not known or not defined, never zero."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from crypto_pool.domain.market import Trend

Probability = Annotated[float, Field(ge=0, le=1)]


class Answer(BaseModel):
    """Base of all answers; `model_version` and its like are field names here."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


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


class PerformanceMetrics(Answer):
    """Metrics at the decision threshold on the evaluation rows; null if undefined."""

    positive_accuracy: float | None
    negative_accuracy: float | None
    overall_score: float | None
    accuracy: float | None
    precision: float | None


class Model(Answer):
    """The champion of one member."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "symbol": "SOL",
                    "trend_type": "uptrend",
                    "feature_importance": {"7_day_RSI": 0.031, "PPO": -0.004},
                    "performance_metrics": {
                        "positive_accuracy": 0.71,
                        "negative_accuracy": 0.83,
                        "overall_score": 0.72,
                        "accuracy": 0.79,
                        "precision": 0.66,
                    },
                    "target": "sma_shift",
                    "target_pct": 0.05,
                    "prediction_window_days": 10,
                    "model_name": "SOL_uptrend_model",
                    "model_version": 3,
                    "algorithm": "LogisticRegression",
                    "decision_threshold": 0.46,
                    "evaluation_policy": "purged_walk_forward",
                    "trained_through": "2026-09-24",
                    "as_of": "2026-11-23",
                    "brier_score": 0.148,
                    "reference_brier_score": 0.15,
                    "skill_over_reference": 0.0133,
                    "skill_over_reference_low": -0.01,
                    "skill_over_reference_high": 0.04,
                    "precision_low": 0.58,
                    "precision_high": 0.73,
                    "effective_sample_size": 41.0,
                    "probability_of_overfitting": 0.3,
                    "candidates_tried": 10,
                    "registered_at_utc": "2026-11-24T02:02:42Z",
                    "synthetic": True,
                }
            ]
        }
    )

    symbol: str
    trend_type: Trend
    feature_importance: dict[str, float | None] | None = Field(
        description="Mean signed SHAP value a feature, in units of the predicted probability."
    )
    performance_metrics: PerformanceMetrics
    target: str | None = Field(
        description="What moves: sma_shift, the 10-day average, or forward_return, the close."
    )
    target_pct: float | None = Field(description="Move that counts, as a fraction.")
    prediction_window_days: int | None
    model_name: str | None
    model_version: int | None
    algorithm: str | None
    decision_threshold: float | None
    evaluation_policy: str | None
    trained_through: date | None
    as_of: date | None
    brier_score: float | None
    reference_brier_score: float | None
    skill_over_reference: float | None = Field(
        description="1 - Brier score / Brier score of the random-walk reference, on the "
        "evaluation rows; above 0 the champion adds something."
    )
    skill_over_reference_low: float | None
    skill_over_reference_high: float | None
    precision_low: float | None = Field(
        description="The true precision is within low and high with 90 % confidence, as far as "
        "overlapping windows allow."
    )
    precision_high: float | None
    effective_sample_size: float | None = Field(
        description="How many separate windows the evaluation rows are worth."
    )
    probability_of_overfitting: Probability | None = Field(
        description="How likely it is that the best candidate here is no better than the median "
        "of them elsewhere."
    )
    candidates_tried: int | None
    registered_at_utc: AwareDatetime | None
    synthetic: bool | None


class Contribution(Answer):
    """How far one input moved one forecast, in units of the predicted probability."""

    feature: str
    contribution: float


class Prediction(Answer):
    """The latest forecast of one member."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "prediction_probabilities": 0.62,
                    "symbol": "SOL",
                    "trend_type": "uptrend",
                    "prediction_date": "2026-11-23",
                    "model_name": "SOL_uptrend_model",
                    "model_version": 3,
                    "algorithm": "LogisticRegression",
                    "decision_threshold": 0.46,
                    "signal": True,
                    "status": "active",
                    "abstained": False,
                    "in_sample": False,
                    "reference_probability": 0.57,
                    "skill_over_reference": 0.0133,
                    "promised_precision": 0.66,
                    "promised_precision_low": 0.58,
                    "promised_precision_high": 0.73,
                    "age_days": 0,
                    "stale": False,
                    "stale_reason": None,
                    "top_contributions": [
                        {"feature": "reference_logit", "contribution": 0.21},
                        {"feature": "7_day_RSI", "contribution": 0.03},
                    ],
                    "target_pct": 0.05,
                    "prediction_window_days": 10,
                    "trained_through": "2026-09-24",
                    "predicted_at_utc": "2026-11-24T02:02:43Z",
                    "synthetic": True,
                }
            ]
        }
    )

    prediction_probabilities: Probability | None = Field(
        description="Probability of the trend; null if the member abstained without one."
    )
    symbol: str
    trend_type: Trend
    prediction_date: date = Field(description="The closed bar the forecast was made from.")
    model_name: str | None
    model_version: int | None
    algorithm: str | None
    decision_threshold: float | None
    signal: bool | None = Field(description="Probability above the decision threshold.")
    status: str | None = Field(description="active, abstain or late.")
    abstained: bool
    in_sample: bool | None = Field(description="If true, it says nothing about live performance.")
    reference_probability: Probability | None = Field(
        description="What a random walk gives for the same day, with nothing learned."
    )
    skill_over_reference: float | None
    promised_precision: float | None
    promised_precision_low: float | None
    promised_precision_high: float | None
    age_days: int = Field(description="Closed days since the bar of the forecast.")
    stale: bool
    stale_reason: str | None
    top_contributions: list[Contribution] | None
    target_pct: float | None
    prediction_window_days: int | None
    trained_through: date | None
    predicted_at_utc: AwareDatetime | None
    synthetic: bool | None


class LiveRecord(Answer):
    """What came of a member's forecasts that were not in sample."""

    scored: int = Field(description="Forecasts whose horizon has passed.")
    signals: int = Field(description="How many of them were signals.")
    realised_precision: float | None = Field(description="Share of the signals that came true.")
    base_rate: float | None
    brier_score: float | None
    reference_brier_score: float | None
    skill_over_reference: float | None


class LedgerEntry(Answer):
    """One decision about who serves the member, with its reason."""

    decided_at_utc: AwareDatetime | None
    as_of: date | None
    decision: str | None = Field(description="promoted, kept, rejected, rolled back or expired.")
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
    promised_precision: float | None = Field(
        description="Mean promise of the champions, weighted by their scored signals."
    )
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
    reason: str | None
    as_of: date | None
    overall_score: float | None
    precision: float | None
    brier_score: float | None
    reference_brier_score: float | None
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
