"""What a registered version says of itself: its explanation, its tags, its row in champions."""

import json
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from crypto_pool.adapters.model_aliases import model_name
from crypto_pool.adapters.model_records import REGISTERED_AT_TAG, ChampionRecord, RunRecord
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.explanation import Explanation, explain
from crypto_pool.domain.fast_predictors import fast_probability
from crypto_pool.domain.fitting import BACKGROUND_ROWS, subsample
from crypto_pool.domain.market import Member
from crypto_pool.domain.overfitting import SelectionCorrection
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.tables import CHAMPIONS
from crypto_pool.domain.training import TrainingTable, served_rows

PROMISED = (
    "accuracy",
    "precision",
    "precision_low",
    "precision_high",
    "positive_accuracy",
    "negative_accuracy",
    "overall_score",
    "brier_score",
    "reference_brier_score",
)
SERVED_METRICS = (
    "positive_accuracy",
    "negative_accuracy",
    "overall_score",
    "accuracy",
    "precision",
)
CORRECTED = ("skill_over_reference", "probability_of_overfitting", "effective_sample_size")
RUN_TAGS = ("as_of", "evaluation_policy", "trained_through", "chosen_through", "decision_threshold")


def explain_run(
    registry: ModelRegistry,
    run: RunRecord,
    table: TrainingTable,
    evaluation: pd.DataFrame,
    explained_rows: int,
    seed: int,
) -> Explanation:
    """SHAP values of a run's model on the latest rows its promise was measured on."""
    model = registry.load_run(run.run_id)
    rows = served_rows(table)
    background = subsample(rows.loc[: run.tags["trained_through"]], BACKGROUND_ROWS)
    return explain(
        CANDIDATES[run.algorithm],
        fast_probability(model),
        model.estimator,
        background,
        rows.loc[evaluation.index[-explained_rows:]],
        seed,
    )


def version_tags(
    member: Member,
    run: RunRecord,
    recipe: Recipe,
    table: TrainingTable,
    importance: Explanation,
    correction: SelectionCorrection,
    registered_at: datetime,
) -> dict[str, str]:
    """Tags of a registered version, and what its choice cost."""
    return {
        **{name: json.dumps(run.metrics.get(name)) for name in SERVED_METRICS},
        "symbol": member.symbol,
        "classifier": run.algorithm,
        "classified_trend": str(member.trend),
        **recipe.terms(table.features.columns).to_tags(),
        "feature_importance": json.dumps(dict(importance.mean)),
        "feature_importance_absolute": json.dumps(dict(importance.mean_absolute)),
        "reference_importance": json.dumps(importance.reference),
        "explanation_method": importance.method,
        "explanation_standard_error": json.dumps(importance.standard_error),
        "precision_interval": json.dumps(
            [run.metrics.get("precision_low"), run.metrics.get("precision_high")]
        ),
        "skill_over_reference": json.dumps(correction.skill),
        "skill_interval": json.dumps(correction.skill_interval),
        "probability_of_overfitting": json.dumps(correction.pbo),
        "candidates_tried": str(correction.candidates_tried),
        "effective_sample_size": json.dumps(correction.effective_sample_size),
        "data_hash": run.tags["data_hash"],
        "code_version": run.tags["code_version"],
        REGISTERED_AT_TAG: registered_at.astimezone(UTC).isoformat(),
        **{name: run.tags[name] for name in RUN_TAGS},
    }


def champion_row(champion: ChampionRecord, member: Member, run: RunRecord) -> dict[str, Any]:
    """One row of the table champions; what was corrected for the choice is told by the tags."""
    tags = champion.tags
    low, high = json.loads(tags["skill_interval"]) or (None, None)
    corrected = {
        **{name: tags[name] for name in CORRECTED},
        "skill_over_reference_low": low,
        "skill_over_reference_high": high,
    }
    own = {
        "model_name": model_name(member.name),
        "model_version": champion.version,
        "algorithm": run.algorithm,
        "run_id": run.run_id,
        "registered_at_utc": champion.registered_at_utc,
        "synthetic": run.tags.get("synthetic"),
    }
    promised = {name: run.metrics.get(name) for name in PROMISED}
    return CHAMPIONS.row(vars(member), own, corrected, promised, tags)
