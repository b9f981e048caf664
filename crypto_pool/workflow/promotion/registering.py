"""A winner's version: explained, described by its tags, registered; its row in champions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from crypto_pool.adapters.charts import JUDGEMENT_FILE, draw_explanation, draw_judgement
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.version import (
    CORRECTED,
    METRICS_TAG,
    REGISTERED_AT_TAG,
    Version,
    model_name,
)
from crypto_pool.domain.explanation import SPLIT, Explanation, explain
from crypto_pool.domain.fitting import BACKGROUND_ROWS, TrainedCandidate, subsample
from crypto_pool.domain.members import Member
from crypto_pool.domain.overfitting import CorrectedPromise
from crypto_pool.domain.performance import promised_verdict
from crypto_pool.domain.promotion import PromotionRules
from crypto_pool.domain.selection import promise_of
from crypto_pool.domain.served_model import BASELINES
from crypto_pool.domain.tables import CHAMPIONS
from crypto_pool.domain.training import TrainingTable, served_rows
from crypto_pool.workflow.baseline import Baseline
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.panel import stored_forecasts
from crypto_pool.workflow.snapshots import store_snapshot
from crypto_pool.workflow.training import MemberTask

SERVED_METRICS = (
    "positive_accuracy",
    "negative_accuracy",
    "overall_score",
    "accuracy",
    "precision",
)


@dataclass(frozen=True, kw_only=True)
class PromotionTask(MemberTask):
    """What a worker needs to choose one member's champion."""

    explained_rows: int
    rules: PromotionRules
    store: FrameStore
    now: datetime


def register(
    task: PromotionTask, winner: TrainedCandidate, candidates: Mapping[str, TrainedCandidate]
) -> str:
    """Register a stored candidate with all its tags, or find the version it has, and mend it.

    With `explained_rows` 0 it is neither explained nor drawn.
    """
    registry, member = task.registry, task.member
    known = registry.versions.of_run(member.name, winner.run_id)
    if known is not None and not known.fault:
        return known.version
    store_snapshot(task.store, task.table)
    importance = Explanation.none()
    if task.explained_rows and winner.algorithm in BASELINES:
        importance = explain_baseline(task.store, member, winner)
    elif task.explained_rows:
        importance = explain_stored(registry, winner, task.table, task.explained_rows)
    promise = promise_of(candidates, winner.algorithm, winner.recipe)
    if task.explained_rows:
        title = f"{member.name}: {winner.algorithm}"
        plots = draw_explanation(
            importance, member.name, winner.algorithm, synthetic=winner.synthetic
        )
        judgement = {JUDGEMENT_FILE: draw_judgement(winner.evaluation, title)}
        tags_of_promise = promise_tags(winner, promise)
        registry.runs.describe(
            winner.run_id, importance.mean, {**plots, **judgement}, **tags_of_promise
        )
    tags = version_tags(task, winner, importance, promise)
    given_before = Ledger(task.store).last_version(member)
    return registry.versions.register(member.name, winner, tags, given_before)


def promise_tags(winner: TrainedCandidate, promise: CorrectedPromise) -> dict[str, str]:
    """Return what a winner adds to its baseline and promises, as its run and version tell it."""
    figures = {"added_points": winner.metrics.get("added_points"), **promise.figures}
    tags = {name: json.dumps(value) for name, value in figures.items()}
    return {**tags, "promised_verdict": str(promised_verdict(figures))}


def version_tags(
    task: PromotionTask,
    winner: TrainedCandidate,
    importance: Explanation,
    promise: CorrectedPromise,
) -> dict[str, str]:
    """Return the tags of a registered version, what its choice cost among them."""
    return {
        **{name: json.dumps(winner.metrics.get(name)) for name in SERVED_METRICS},
        **promise_tags(winner, promise),
        METRICS_TAG: json.dumps({**winner.metrics, **promise.figures}),
        "symbol": task.member.symbol,
        "classifier": winner.algorithm,
        "classified_trend": str(task.member.trend),
        **winner.recipe.terms(task.table.features.columns).to_tags(),
        "feature_importance": json.dumps(dict(importance.mean)),
        "feature_importance_absolute": json.dumps(dict(importance.mean_absolute)),
        "reference_importance": json.dumps(importance.reference),
        "explanation_method": importance.method,
        "explanation_standard_error": json.dumps(importance.standard_error),
        "skill_over_reference": json.dumps(winner.metrics.get("skill_over_reference")),
        "skill_interval": json.dumps(
            [winner.metrics.get(f"skill_over_reference_{end}") for end in ("low", "high")]
        ),
        "probability_of_overfitting": json.dumps(promise.pbo),
        "candidates_tried": str(promise.candidates_tried),
        "effective_sample_size": json.dumps(promise.effective_sample_size),
        "data_hash": winner.data_hash,
        "code_version": winner.code_version,
        "synthetic": str(winner.synthetic).lower(),
        REGISTERED_AT_TAG: task.now.astimezone(UTC).isoformat(),
        "as_of": winner.as_of.isoformat(),
        "evaluation_policy": winner.recipe.evaluation_policy,
        "trained_through": f"{winner.trained_through:%Y-%m-%d}",
        "chosen_through": f"{winner.chosen_through:%Y-%m-%d}",
        "decision_threshold": repr(float(winner.decision_threshold)),
    }


def measured(registry: ModelRegistry, version: Version) -> dict[str, Any]:
    """Return what was measured of a version; one of version 1.0 tells it on its run alone."""
    stored = version.tags.get(METRICS_TAG)
    if stored is not None:
        return dict(json.loads(stored))
    return dict(registry.runs.get(version.run_id).metrics)


def champion_row(registry: ModelRegistry, version: Version, member: Member) -> dict[str, Any]:
    """Return a version's row of the table champions; its tags hold what the choice cost."""
    tags = version.tags
    low, high = json.loads(tags["skill_interval"]) or (None, None)
    own = {
        "model_name": model_name(member.name),
        "model_version": version.version,
        "algorithm": tags["classifier"],
        "run_id": version.run_id,
        "registered_at_utc": version.registered_at_utc,
        "skill_over_reference_low": low,
        "skill_over_reference_high": high,
        "synthetic": tags.get("synthetic"),
    }
    corrected = {name: tags[name] for name in CORRECTED}
    return CHAMPIONS.row(vars(member), own, corrected, measured(registry, version), tags)


def explain_baseline(store: FrameStore, member: Member, winner: TrainedCandidate) -> Explanation:
    """How far reference, volatility and drift move a baseline's probability where it was judged."""
    target = winner.recipe.target
    baseline = Baseline(FrameCache(store), stored_forecasts(store, target), target)
    reference = winner.evaluation["reference_probability"]
    parts = baseline.split(member, reference, winner.algorithm)
    return Explanation(parts, parts, SPLIT, 0.0)


def explain_stored(
    registry: ModelRegistry, winner: TrainedCandidate, table: TrainingTable, explained_rows: int
) -> Explanation:
    """SHAP values of a stored candidate on the latest rows its promise was measured on."""
    model, rows = registry.runs.load_model(winner.run_id), served_rows(table)
    known = rows.loc[: winner.trained_through].dropna(subset=[model.anchor])
    background = subsample(known, BACKGROUND_ROWS)
    explained = rows.loc[winner.evaluation.index[-explained_rows:]]
    return explain(model, background, explained, winner.recipe.seed)
