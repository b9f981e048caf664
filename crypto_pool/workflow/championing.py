"""Choose, explain, register and alias the champion of one member."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from crypto_pool.adapters.model_records import ChampionRecord, RunRecord
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.evaluation import Gates
from crypto_pool.domain.explanation import Explanation, explain
from crypto_pool.domain.market import Member
from crypto_pool.domain.policies import policy_from_name, spread_rows
from crypto_pool.domain.selection import CandidateScore, choose_champion
from crypto_pool.domain.training import TrainingTable, data_hash, prediction_input

BACKGROUND_ROWS = 200


@dataclass(frozen=True)
class ChampionTask:
    """What a worker needs to choose one member's champion."""

    member: Member
    table: TrainingTable
    as_of: date
    policy: str
    seed: int
    explained_rows: int
    settings: Mapping[str, Any]
    registry: ModelRegistry


@dataclass(frozen=True)
class ChampionDecision:
    """The decision in words, and the row of the table champions if there is one to write."""

    member: Member
    decision: str
    reason: str
    row: Mapping[str, Any] | None = None
    missing: tuple[str, ...] = ()


def appoint_champion(task: ChampionTask) -> ChampionDecision:
    """Choose among the finished runs on the same data, and serve the winner.

    A build for an older date than the serving champion's registers its winner and leaves
    the alias where it is. Running it again changes nothing.
    """
    runs = task.registry.finished_runs(task.member.name, data_hash(task.table))
    missing = tuple(name for name in CANDIDATES if name not in runs)
    scores = [
        CandidateScore(algorithm=name, run_id=run.run_id, metrics=run.metrics)
        for name, run in runs.items()
    ]
    selection = choose_champion(scores, Gates(), policy_from_name(task.policy))
    if selection.winner is None:
        return ChampionDecision(task.member, "none", selection.reason, missing=missing)
    run = runs[selection.winner.algorithm]
    version = task.registry.registered_version(task.member.name, run.run_id)
    if version is None:
        importance = explain_run(task, run)
        version = task.registry.register(task.member.name, run, version_tags(task, run, importance))
    serving = task.registry.champion(task.member.name)
    if serving is not None and date.fromisoformat(serving.tags["as_of"]) > task.as_of:
        reason = f"version {serving.version}, built for {serving.tags['as_of']}, keeps serving"
        return ChampionDecision(task.member, "kept", reason, missing=missing)
    task.registry.set_champion(task.member.name, version)
    champion = task.registry.champion(task.member.name)
    assert champion is not None
    row = champion_row(champion, task.member, run)
    return ChampionDecision(task.member, "serves", selection.reason, row, missing)


def explain_run(task: ChampionTask, run: RunRecord) -> Explanation:
    """SHAP values of a run's model on the rows it was evaluated on."""
    model = task.registry.load_run(run.run_id)
    through = pd.Timestamp(run.tags["trained_through"])
    index = task.table.features.index
    evaluated = index[index > through] if (index > through).any() else index
    rows = prediction_input(
        task.table.features, pd.Series(task.table.reference_probability, index=index)
    )
    return explain(
        CANDIDATES[run.algorithm],
        model.predict_probability,
        model.estimator,
        spread_rows(rows.loc[:through], BACKGROUND_ROWS),
        rows.loc[evaluated[-task.explained_rows :]],
        task.seed,
    )


def version_tags(task: ChampionTask, run: RunRecord, importance: Explanation) -> dict[str, str]:
    """Tags of a registered version, as SPEC 8 names them."""
    metrics = ("positive_accuracy", "negative_accuracy", "overall_score", "accuracy", "precision")
    brier, reference = run.metrics.get("brier_score"), run.metrics.get("reference_brier_score")
    skill = 1 - brier / reference if brier is not None and reference else None
    return {
        **{name: json.dumps(run.metrics.get(name)) for name in metrics},
        "symbol": task.member.symbol,
        "classifier": run.algorithm,
        "classified_trend": str(task.member.trend),
        "target_pct": str(task.settings["target_pct"]),
        "prediction_window_days": str(task.settings["prediction_window_days"]),
        "feature_names": json.dumps(list(task.table.features.columns)),
        "feature_importance": json.dumps(dict(importance.mean)),
        "feature_importance_absolute": json.dumps(dict(importance.mean_absolute)),
        "explanation_method": importance.method,
        "skill_over_reference": json.dumps(skill),
        "data_hash": run.tags["data_hash"],
        **{
            name: run.tags[name]
            for name in (
                "as_of",
                "evaluation_policy",
                "trained_through",
                "chosen_through",
                "decision_threshold",
            )
        },
    }


def champion_row(champion: ChampionRecord, member: Member, run: RunRecord) -> dict[str, Any]:
    """One row of the table champions."""
    tags = champion.tags
    names = ("accuracy", "precision", "positive_accuracy", "negative_accuracy", "overall_score")
    return {
        "symbol": member.symbol,
        "trend": str(member.trend),
        "model_name": f"{member.name}_model",
        "model_version": champion.version,
        "algorithm": run.algorithm,
        "run_id": run.run_id,
        "trained_through": date.fromisoformat(tags["trained_through"]),
        "chosen_through": date.fromisoformat(tags["chosen_through"]),
        "as_of": date.fromisoformat(tags["as_of"]),
        "decision_threshold": float(tags["decision_threshold"]),
        "evaluation_policy": tags["evaluation_policy"],
        "data_hash": tags["data_hash"],
        **{name: run.metrics.get(name) for name in names},
        "brier_score": run.metrics.get("brier_score"),
        "reference_brier_score": run.metrics.get("reference_brier_score"),
        "feature_importance": tags["feature_importance"],
        "registered_at_utc": pd.Timestamp(champion.registered_at_utc).tz_localize(None),
    }
