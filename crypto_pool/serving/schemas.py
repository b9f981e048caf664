"""A champion and its forecast, as `/models` and `/prediction` give them, and errors.

`null` means not known or not defined, never zero; in all answers.
"""

from datetime import date
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from crypto_pool.domain.market import Trend
from crypto_pool.domain.odds import ExpectedMove

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
                    "feature_importance_absolute": {"7_day_RSI": 0.05, "PPO": 0.02},
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
                    "algorithm": "RidgeClassifier",
                    "decision_threshold": 0.46,
                    "evaluation_policy": "purged_walk_forward",
                    "trained_through": "2026-09-24",
                    "as_of": "2026-11-23",
                    "brier_score": 0.148,
                    "reference_brier_score": 0.15,
                    "added_points": 1.8,
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
    feature_importance_absolute: dict[str, float | None] | None = Field(
        description="Mean absolute SHAP value a feature: how far it moves the probability."
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
    added_points: float | None = Field(
        description="Mean distance from the baseline on the evaluation rows, in percentage points."
    )
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
                    "algorithm": "RidgeClassifier",
                    "decision_threshold": 0.46,
                    "signal": True,
                    "status": "active",
                    "abstained": False,
                    "in_sample": False,
                    "reference_probability": 0.57,
                    "panel_probability": 0.59,
                    "expected_move": {
                        "symbol": "SOL",
                        "bar_date": "2026-11-23",
                        "horizon": 10,
                        "level_usd": 100.0,
                        "sigma": 0.04,
                        "change_10_pct": -0.08,
                        "change_50_pct": 0.02,
                        "change_90_pct": 0.14,
                        "price_10_usd": 92.0,
                        "price_50_usd": 102.0,
                        "price_90_usd": 114.0,
                    },
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
    status: str | None = Field(description="active, abstain or baseline.")
    late: bool | None = Field(description="Made after the day that follows the bar date.")
    abstained: bool
    in_sample: bool | None = Field(description="If true, it says nothing about live performance.")
    reference_probability: Probability | None = Field(
        description="What a random walk gives for the same day, with nothing learned."
    )
    panel_probability: Probability | None = Field(
        description="What the panel of all coins gives; null where it has no row of that day."
    )
    expected_move: ExpectedMove | None = Field(
        description="Where the coin's target is expected at the end of the horizon, by the panel: "
        "80 % of outcomes lie between the 10 % and the 90 % point."
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
