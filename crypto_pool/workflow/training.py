"""Train candidates and log them, each in a worker process, or find the runs that already did."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from importlib import import_module
from typing import Any

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.model_records import CandidateFit
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.market import Member
from crypto_pool.domain.policies import policy_of
from crypto_pool.domain.promise import bounds_by_name
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.tables import CANDIDATE_SCORES
from crypto_pool.domain.training import TrainingTable, data_hash, training_table
from crypto_pool.errors import MissingFeatures, UnscoredCandidate
from crypto_pool.workflow.code_version import code_version
from crypto_pool.workflow.isolation import Failure, map_isolated


@dataclass(frozen=True)
class TrainingTask:
    """What a worker needs to train one candidate."""

    member: Member
    algorithm: str
    table: TrainingTable
    as_of: date
    recipe: Recipe
    synthetic: bool
    registry: ModelRegistry
    parent_run_id: str
    dagster_run_id: str


@dataclass(frozen=True)
class CandidateResult:
    """What became of one candidate: status is scored, reused or unscored."""

    member: Member
    algorithm: str
    status: str
    as_of: date
    policy: str
    data_hash: str
    reason: str = ""
    run_id: str = ""
    metrics: Mapping[str, float | None] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """One row of the table candidate_scores, the same whether its run is new or reused."""
        status = "unscored" if self.status == "unscored" else "scored"
        own = {"status": status, "evaluation_policy": self.policy, **vars(self.member)}
        return CANDIDATE_SCORES.row(own, vars(self), self.metrics)


def member_table(store: FrameStore, member: Member, as_of: date, recipe: Recipe) -> TrainingTable:
    """The labelled rows of one member that were known when the bar of `as_of` closed.

    Labels, like outcomes and the reference, are of the stored bars' closes, whatever price the
    features are computed from and whoever computed them.

    Raises:
        MissingFeatures: the coin's first bar is later than `as_of`.
    """
    bars = store.read("daily_bars", member.symbol)
    if pd.Timestamp(as_of) < bars.index.min():
        raise MissingFeatures(
            f"{member.name} has no bar by {as_of}; its bars run from "
            f"{bars.index.min():%Y-%m-%d} to {bars.index.max():%Y-%m-%d}: use a later --date"
        )
    return training_table(
        bars,
        store.read("feature_table", member.symbol),
        member.trend,
        pd.Timestamp(as_of),
        recipe,
    )


def training_key(task: TrainingTask) -> str:
    """Identify a training: the same key gives the same model."""
    parts = [
        task.member.name,
        task.algorithm,
        data_hash(task.table),
        code_version(),
        task.recipe.fit_settings(),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def import_libraries() -> None:
    """Import what any candidate needs, so that no fit is timed or taken for a leak by it."""
    for name in ("keras", "lightgbm", "mlflow.pyfunc", "sklearn.ensemble", "xgboost"):
        import_module(name)


def train_candidates(
    workers: WorkerPool, tasks: Sequence[TrainingTask]
) -> Iterator[tuple[TrainingTask, CandidateResult | Failure]]:
    """Each task with its result: those that are stored first, so that workers start for others."""
    missing = []
    for task, stored in map_isolated(WorkerPool(), reuse_candidate, tasks):
        if stored is None:
            missing.append(task)
        else:
            yield task, stored
    if missing:
        yield from map_isolated(workers, train_candidate, missing)


def reuse_candidate(task: TrainingTask) -> CandidateResult | None:
    """Give the result of the same training, if its run is stored."""
    stored = task.registry.find_reusable(task.member.name, training_key(task))
    if stored is None:
        return None
    return CandidateResult(
        **_outcome(task), status="reused", run_id=stored.run_id, metrics=stored.metrics
    )


def train_candidate(task: TrainingTask) -> CandidateResult:
    """Fit, score and log one candidate.

    A candidate that cannot be scored is a result with its reason, not an error.
    """
    outcome = _outcome(task)
    try:
        fitted = policy_of(task.recipe).evaluate(CANDIDATES[task.algorithm], task.table)
    except UnscoredCandidate as error:
        return CandidateResult(**outcome, status="unscored", reason=str(error))
    run = task.registry.log_candidate(
        CandidateFit(
            member_name=task.member.name,
            algorithm=task.algorithm,
            estimator=fitted.estimator,
            calibration=fitted.calibration,
            feature_names=tuple(task.table.features.columns),
            metrics={**fitted.metrics, **bounds_by_name(fitted.promise)},
            reference_metrics=fitted.reference_metrics,
            data_hash=outcome["data_hash"],
            code_version=code_version(),
            training_key=training_key(task),
            dagster_run_id=task.dagster_run_id,
            parent_run_id=task.parent_run_id,
            synthetic=task.synthetic,
            parameters={
                **task.recipe.fit_settings(),
                "training_rows": len(task.table),
                "decision_threshold": fitted.decision_threshold,
                "class_weights": json.dumps({str(k): v for k, v in fitted.class_weights.items()}),
                "calibration_values": json.dumps(fitted.calibration.to_dict()),
            },
            settings=task.recipe.fit_settings(),
            fold_metrics=fitted.promise.folds,
            evaluation=fitted.evaluation,
            tags={
                "as_of": task.as_of.isoformat(),
                "evaluation_policy": task.recipe.evaluation_policy,
                "trained_through": f"{fitted.trained_through:%Y-%m-%d}",
                "chosen_through": f"{fitted.chosen_through:%Y-%m-%d}",
                "decision_threshold": repr(float(fitted.decision_threshold)),
                "notes": "; ".join(fitted.notes),
            },
        )
    )
    return CandidateResult(**outcome, status="scored", run_id=run.run_id, metrics=run.metrics)


def _outcome(task: TrainingTask) -> dict[str, Any]:
    return {
        "member": task.member,
        "algorithm": task.algorithm,
        "as_of": task.as_of,
        "policy": task.recipe.evaluation_policy,
        "data_hash": data_hash(task.table),
    }
