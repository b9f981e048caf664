"""Train candidates and log them, each in a worker process, or find the runs that already did."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from importlib import import_module
from time import perf_counter
from typing import Any

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.members import Member
from crypto_pool.domain.policies import evaluate
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.served_model import BASELINES
from crypto_pool.domain.tables import CANDIDATE_SCORES
from crypto_pool.domain.training import TrainingTable, data_hash, served_rows, training_table
from crypto_pool.domain.who_serves import is_panel_barred
from crypto_pool.errors import (
    CorruptPartition,
    MissingFeatures,
    UnscoredCandidate,
    let_interrupts_pass,
)
from crypto_pool.workflow.code_version import code_version
from crypto_pool.workflow.history import require_unbroken
from crypto_pool.workflow.isolation import Failure, map_isolated
from crypto_pool.workflow.panel import origins_of, panel_probability, stored_forecasts

EXAMPLE_ROWS = 3


@dataclass(frozen=True, kw_only=True)
class MemberTask:
    """A member's rows as of a bar date, what is made of them and where it is put."""

    member: Member
    table: TrainingTable
    as_of: date
    recipe: Recipe
    registry: ModelRegistry
    dagster_run_id: str
    parent_run_id: str | None
    synthetic: bool


@dataclass(frozen=True, kw_only=True)
class TrainingTask(MemberTask):
    """What a worker needs to train one candidate; its figures alone need no model."""

    algorithm: str
    with_model: bool = True


@dataclass(frozen=True)
class Unscored:
    """Why a candidate could not be scored, which is a result."""

    reason: str


def score_row(task: TrainingTask, outcome: TrainedCandidate | Unscored) -> dict[str, Any]:
    """Return a row of candidate_scores, the same whether its run is new or reused."""
    own = {
        **vars(task.member),
        "algorithm": task.algorithm,
        "as_of": task.as_of,
        "evaluation_policy": task.recipe.evaluation_policy,
        "data_hash": data_hash(task.table),
        "reason": "",
    }
    if isinstance(outcome, Unscored):
        return CANDIDATE_SCORES.row({"status": "unscored", "reason": outcome.reason}, own)
    return CANDIDATE_SCORES.row(
        {"status": "scored", "run_id": outcome.run_id}, own, outcome.metrics
    )


def keep_scores(
    store: FrameStore, scored: Sequence[tuple[TrainingTask, TrainedCandidate | Unscored]]
) -> list[dict[str, Any]]:
    """Put candidates' rows beside their members' others, and return them.

    A damaged file of scores is made anew: training is what mends it.
    """
    rows = [score_row(task, outcome) for task, outcome in scored]
    scores, name = CANDIDATE_SCORES.frame(rows), CANDIDATE_SCORES.store_name
    keys = pd.Index([task.member.partition_key for task, _ in scored])
    for key, rows_of_key in scores.groupby(keys):
        own = rows_of_key.reset_index(drop=True)
        with store.lock(name, key):
            try:
                store.put_rows(name, key, own, CANDIDATE_SCORES.key)
            except CorruptPartition:
                store.write(name, key, own)
    return rows


def member_table(
    store: FrameStore,
    member: Member,
    as_of: date,
    recipe: Recipe,
    panel: pd.DataFrame | None = None,
) -> TrainingTable:
    """The labelled rows of one member that were known when the bar of `as_of` closed.

    Labels, like outcomes and the reference, are of the stored bars' closes, whatever price the
    features are computed from and whoever computed them. `panel` are the stored panel forecasts,
    read unless they are given; the classic recipe takes none, nor does a member whose `Panel` is
    in quarantine.

    Raises:
        MissingFeatures: the coin's first bar is later than `as_of`.
        BrokenHistory: a level break that nobody has accepted blocks it.
    """
    bars = store.read("daily_bars", member.symbol)
    if pd.Timestamp(as_of) < bars.index.min():
        raise MissingFeatures(
            f"{member.name} has no bar by {as_of}; its bars run from "
            f"{bars.index.min():%Y-%m-%d} to {bars.index.max():%Y-%m-%d}: use a later --date"
        )
    require_unbroken(store, member.symbol, bars, as_of)
    forecasts = None
    if not recipe.is_classic:
        known = stored_forecasts(store, recipe.target) if panel is None else panel
        if not is_panel_barred(Ledger(store).of_member(member), origins_of(known), as_of):
            forecasts = panel_probability(known, member)
    return training_table(
        bars,
        store.read("feature_table", member.symbol),
        member.trend,
        pd.Timestamp(as_of),
        recipe,
        forecasts,
    )


def training_key(task: MemberTask, algorithm: str) -> str:
    """Identify a training: the same key gives the same model."""
    parts = [
        task.member.name,
        algorithm,
        data_hash(task.table),
        code_version(),
        task.recipe.fit_settings(),
    ]
    if algorithm in CANDIDATES and CANDIDATES[algorithm].code:
        parts.append(CANDIDATES[algorithm].code)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def import_libraries() -> None:
    """Import what any candidate needs, so that no fit is timed or taken for a leak by it."""
    for name in ("keras", "lightgbm", "sklearn.ensemble", "xgboost"):
        import_module(name)


def train_candidates(
    workers: WorkerPool, tasks: Sequence[TrainingTask], *, anew: bool = False
) -> Iterator[tuple[TrainingTask, TrainedCandidate | Unscored | Failure, bool]]:
    """Each task with its outcome, and whether a stored run was reused for it; `anew` reuses none.

    Those that are stored come first, so that workers start for others alone.
    """
    of_member = {} if anew else {task.member: task for task in tasks}
    found = map_isolated(WorkerPool(), stored_candidates, list(of_member.values()))
    by_member = {task.member: stored for task, stored in found}
    missing = []
    for task in tasks:
        stored = by_member.get(task.member, {})
        if isinstance(stored, Failure):
            yield task, stored, False
        elif task.algorithm in stored:
            yield task, stored[task.algorithm], True
        else:
            missing.append(task)
    if missing:
        for task, trained in map_isolated(workers, train_candidate, missing):
            yield task, trained, False


def stored_candidates(task: MemberTask) -> dict[str, TrainedCandidate]:
    """Return by algorithm the candidates of the same training whose runs are stored whole.

    An extension's candidate is one by the code it has now.
    """
    runs, name = task.registry.runs, task.member.name
    latest = runs.latest(name, data_hash(task.table), task.recipe, code_version())
    of_extensions = {one for one, candidate in CANDIDATES.items() if candidate.code}
    of_pool = {*BASELINES, *CANDIDATES} - of_extensions
    found = (runs.find(name, training_key(task, algorithm)) for algorithm in of_extensions)
    return {
        **{algorithm: one for algorithm, one in latest.items() if algorithm in of_pool},
        **{one.algorithm: one for one in found if one is not None},
    }


def train_candidate(task: TrainingTask) -> TrainedCandidate | Unscored:
    """Fit, score and log one candidate; one that cannot be scored is a result with its reason."""
    begun, candidate = perf_counter(), CANDIDATES[task.algorithm]
    try:
        with_model = task.with_model or candidate.code != ""
        fitted = evaluate(candidate, task.table, task.recipe, with_model=with_model)
        if candidate.code:
            from crypto_pool.adapters.mlflow.artifact import model_files

            model_files(fitted.served)  # it can be stored, by the types it declares
    except UnscoredCandidate as error:
        return Unscored(str(error))
    except BaseException as error:
        let_interrupts_pass(error)
        if not candidate.code:
            raise
        # A stranger's code: it is named, and nothing else waits for it.
        return Unscored(f"the extension {candidate.name} failed: {type(error).__name__}: {error}")
    return log_candidate(task, fitted, perf_counter() - begun)


def log_candidate(
    task: MemberTask, fitted: TrainedCandidate, fit_seconds: float = 0.0
) -> TrainedCandidate:
    """Log a candidate, whose it is and what it was made of among it."""
    return task.registry.runs.log(
        replace(
            fitted,
            member_name=task.member.name,
            as_of=task.as_of,
            data_hash=data_hash(task.table),
            code_version=code_version(),
            synthetic=task.synthetic,
        ),
        training_key(task, fitted.algorithm),
        task.dagster_run_id,
        task.parent_run_id,
        example=served_rows(task.table).tail(EXAMPLE_ROWS),
        fit_seconds=fit_seconds,
    )
