"""Columns of the tables in the DuckDB file people query."""

from collections.abc import Iterable
from dataclasses import dataclass

from crypto_pool.domain.features import feature_names
from crypto_pool.domain.market import BAR_COLUMNS


@dataclass(frozen=True)
class TableSchema:
    """Column types by name, in order, and the primary key."""

    columns: dict[str, str]
    primary_key: tuple[str, ...] = ()


_BAR_KEY = {"symbol": "VARCHAR", "date": "DATE"}

_PROMISE = {
    "precision_low": "DOUBLE",
    "precision_high": "DOUBLE",
    "skill_over_reference": "DOUBLE",
    "skill_over_reference_low": "DOUBLE",
    "skill_over_reference_high": "DOUBLE",
    "effective_sample_size": "DOUBLE",
}

_PREDICTIONS = TableSchema(
    {
        "prediction_date": "DATE",
        "symbol": "VARCHAR",
        "trend": "VARCHAR",
        "probability": "DOUBLE",
        "signal": "BOOLEAN",
        "status": "VARCHAR",
        "abstain_reason": "VARCHAR",
        "input_distance": "DOUBLE",
        "furthest_input": "VARCHAR",
        "decision_threshold": "DOUBLE",
        "reference_probability": "DOUBLE",
        "model_name": "VARCHAR",
        "model_version": "INTEGER",
        "algorithm": "VARCHAR",
        "target": "VARCHAR",
        "target_pct": "DOUBLE",
        "prediction_window_days": "INTEGER",
        "trained_through": "DATE",
        "in_sample": "BOOLEAN",
        "features": "MAP(VARCHAR, DOUBLE)",
        "top_contributions": "VARCHAR",
        "predicted_at_utc": "TIMESTAMP",
        "dagster_run_id": "VARCHAR",
        "synthetic": "BOOLEAN",
    },
    primary_key=("prediction_date", "symbol", "trend"),
)

_OUTCOMES = TableSchema(
    {
        "prediction_date": "DATE",
        "symbol": "VARCHAR",
        "trend": "VARCHAR",
        "probability": "DOUBLE",
        "signal": "BOOLEAN",
        "reference_probability": "DOUBLE",
        "outcome": "DOUBLE",
        "in_sample": "BOOLEAN",
        "model_version": "INTEGER",
        "scored_at_utc": "TIMESTAMP",
    },
    primary_key=("prediction_date", "symbol", "trend"),
)
# Two versions may forecast in a champion's shadow: its challenger and its predecessor.
_SHADOW_KEY = ("prediction_date", "symbol", "trend", "model_version")

SCHEMAS: dict[str, TableSchema] = {
    "predictions": _PREDICTIONS,
    "shadow_predictions": TableSchema(_PREDICTIONS.columns, _SHADOW_KEY),
    "shadow_outcomes": TableSchema(_OUTCOMES.columns, _SHADOW_KEY),
    "realised_performance": TableSchema(
        {
            "as_of": "DATE",
            "symbol": "VARCHAR",
            "trend": "VARCHAR",
            "model_version": "INTEGER",
            "window_days": "INTEGER",
            "rows": "INTEGER",
            "separate_windows": "DOUBLE",
            "signals": "INTEGER",
            "precision": "DOUBLE",
            "mean_probability": "DOUBLE",
            "base_rate": "DOUBLE",
            "brier_score": "DOUBLE",
            "reference_brier_score": "DOUBLE",
            "skill_over_reference": "DOUBLE",
            "chance": "DOUBLE",
            "action": "VARCHAR",
            "reason": "VARCHAR",
        },
        primary_key=("as_of", "symbol", "trend"),
    ),
    "champions": TableSchema(
        {
            "symbol": "VARCHAR",
            "trend": "VARCHAR",
            "model_name": "VARCHAR",
            "model_version": "INTEGER",
            "algorithm": "VARCHAR",
            "run_id": "VARCHAR",
            "target": "VARCHAR",
            "target_pct": "DOUBLE",
            "prediction_window_days": "INTEGER",
            "trained_through": "DATE",
            "chosen_through": "DATE",
            "as_of": "DATE",
            "decision_threshold": "DOUBLE",
            "evaluation_policy": "VARCHAR",
            "data_hash": "VARCHAR",
            "accuracy": "DOUBLE",
            "precision": "DOUBLE",
            "positive_accuracy": "DOUBLE",
            "negative_accuracy": "DOUBLE",
            "overall_score": "DOUBLE",
            "brier_score": "DOUBLE",
            "reference_brier_score": "DOUBLE",
            **_PROMISE,
            "probability_of_overfitting": "DOUBLE",
            "candidates_tried": "INTEGER",
            "feature_importance": "VARCHAR",
            "registered_at_utc": "TIMESTAMP",
            "synthetic": "BOOLEAN",
        }
    ),
    "candidate_scores": TableSchema(
        {
            "symbol": "VARCHAR",
            "trend": "VARCHAR",
            "algorithm": "VARCHAR",
            "run_id": "VARCHAR",
            "as_of": "DATE",
            "evaluation_policy": "VARCHAR",
            "data_hash": "VARCHAR",
            "status": "VARCHAR",
            "reason": "VARCHAR",
            "accuracy": "DOUBLE",
            "precision": "DOUBLE",
            "positive_accuracy": "DOUBLE",
            "negative_accuracy": "DOUBLE",
            "overall_score": "DOUBLE",
            "brier_score": "DOUBLE",
            "log_loss": "DOUBLE",
            "roc_auc": "DOUBLE",
            "base_rate": "DOUBLE",
            "slice_size": "INTEGER",
            "reference_precision": "DOUBLE",
            "reference_overall_score": "DOUBLE",
            "reference_brier_score": "DOUBLE",
            "reference_roc_auc": "DOUBLE",
            **_PROMISE,
        }
    ),
    "promotions": TableSchema(
        {
            "decided_at_utc": "TIMESTAMP",
            "as_of": "DATE",
            "symbol": "VARCHAR",
            "trend": "VARCHAR",
            "model_name": "VARCHAR",
            "model_version": "INTEGER",
            "algorithm": "VARCHAR",
            "decision": "VARCHAR",
            "serving_version": "INTEGER",
            "reason": "VARCHAR",
            "champion_metrics": "VARCHAR",
            "challenger_metrics": "VARCHAR",
            "data_hash": "VARCHAR",
            "code_version": "VARCHAR",
            "dagster_run_id": "VARCHAR",
        }
    ),
    "prediction_outcomes": _OUTCOMES,
    "daily_bars": TableSchema(
        _BAR_KEY | {column: "DOUBLE" for column in BAR_COLUMNS},
        primary_key=("symbol", "date"),
    ),
    "feature_tables": TableSchema(
        _BAR_KEY | {column: "DOUBLE" for column in feature_names()},
        primary_key=("symbol", "date"),
    ),
}


def feature_tables_schema(columns: Iterable[str]) -> TableSchema:
    """Schema of `feature_tables` for whatever features there are, the standard ones if none."""
    features = [column for column in columns if column not in _BAR_KEY]
    if not features:
        return SCHEMAS["feature_tables"]
    return TableSchema(
        _BAR_KEY | {column: "DOUBLE" for column in features},
        primary_key=SCHEMAS["feature_tables"].primary_key,
    )
