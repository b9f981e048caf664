"""A champion and its forecast, as `/models` and `/prediction` give them, and errors.

`null` means not known or not defined, never zero; in all answers.
"""

import json
from datetime import date
from importlib.resources import files
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from crypto_pool.domain.market import Trend
from crypto_pool.domain.odds import ExpectedMove

EXAMPLES = files("crypto_pool.serving") / "examples"
Probability = Annotated[float, Field(ge=0, le=1)]


def _example(name: str) -> dict[str, Any]:
    """Return what puts an example into the description of the API."""
    return {"examples": [json.loads((EXAMPLES / f"{name}.json").read_text())]}


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

    model_config = ConfigDict(json_schema_extra=_example("model"))

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
    fault: str | None = Field(
        description="Why it abstains until it is trained anew, in words; null where it may speak."
    )
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

    model_config = ConfigDict(json_schema_extra=_example("prediction"))

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
