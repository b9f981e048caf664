"""Choose the champion of one member among what was trained, and put the decision on record.

The ledger is written once, and by it alone a version serves; aliases and the table champions
follow, now or at the next look if the process is killed in between.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crypto_pool.adapters.ledger import Ledger, Promotion
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.version import Version
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.gates import Gates
from crypto_pool.domain.members import Member
from crypto_pool.domain.policies import evaluate
from crypto_pool.domain.selection import Selection, choose_champion
from crypto_pool.domain.tables import CANDIDATE_SCORES, CHAMPIONS
from crypto_pool.domain.training import data_hash
from crypto_pool.errors import UnscoredCandidate
from crypto_pool.workflow.code_version import training_version
from crypto_pool.workflow.isolation import Failure, map_isolated
from crypto_pool.workflow.promotion.deciding import fault_of, judge
from crypto_pool.workflow.promotion.reconciling import Champion, reconcile
from crypto_pool.workflow.promotion.registering import PromotionTask, measured, register
from crypto_pool.workflow.snapshots import store_snapshot
from crypto_pool.workflow.training import log_candidate, stored_candidates


@dataclass(frozen=True)
class PromotionResult:
    """The decision in words, and the version that serves after it, if one does."""

    member: Member
    decision: str
    reason: str
    serving: Version | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The candidates on the task's data, the winner among them, and who serves."""

    candidates: dict[str, TrainedCandidate]
    selection: Selection
    champion: Champion

    @property
    def missing(self) -> tuple[str, ...]:
        """The algorithms without a run on these data."""
        return tuple(algorithm for algorithm in CANDIDATES if algorithm not in self.candidates)


def promote_members(
    workers: WorkerPool, tasks: Sequence[PromotionTask]
) -> Iterator[tuple[PromotionTask, PromotionResult | Failure]]:
    """Each task with its result; workers start for those that something is fitted for."""
    open_tasks = []
    for task, result in map_isolated(WorkerPool(), settle, tasks):
        if result is None:
            open_tasks.append(task)
        else:
            yield task, result
    if open_tasks:
        yield from map_isolated(workers, promote, open_tasks)


def settle(task: PromotionTask) -> PromotionResult | None:
    """Decide where these rows were decided on before and nothing has to be fitted or explained.

    Raises UnscoredCandidate where nothing was trained on these rows: that is no result.
    """
    decisions = Ledger(task.store).of_member(task.member)
    if decisions.empty or data_hash(task.table) not in set(decisions["data_hash"]):
        return None
    return _settled(task, _choose(task))


def promote(task: PromotionTask) -> PromotionResult:
    """Choose among the finished runs on the same data, and let the winner meet the champion.

    A build for an older date than the last decision registers its winner and lets nobody else
    serve. Running it again changes nothing. Raises UnscoredCandidate as `settle` does.
    """
    with task.store.lock(CHAMPIONS.store_name, task.member.partition_key):
        choice = _choose(task)
        return _settled(task, choice) or _decide(task, choice)


def _settled(task: PromotionTask, choice: Choice) -> PromotionResult | None:
    """Return the result where the winner serves already, or nobody can."""
    winner, champion = choice.selection.winner, choice.champion
    if winner is None:
        return _decide(task, choice) if champion.standing.serving is None else None
    version = task.registry.versions.of_run(task.member.name, winner.run_id)
    serves = version is not None and version.version == champion.standing.serving
    if not serves:
        return None
    store_snapshot(task.store, task.table)  # its own rows, which may have been lost
    if fault_of(task, champion):
        return None
    return _result(task, "serves", choice.selection.reason, choice.missing)


def _choose(task: PromotionTask) -> Choice:
    champion = reconcile(task.store, task.registry, task.member)
    candidates = stored_candidates(task)
    if not candidates and not _were_unscored(task):
        raise UnscoredCandidate(
            f"{task.member.name}: nothing was trained on its rows of {task.as_of}; train it with "
            f"`crypto-pool build --date {task.as_of}`"
        )
    if candidates and not task.recipe.is_classic:
        candidates |= _with_baseline(task, candidates)
    selection = choose_champion(list(candidates.values()), Gates(), task.recipe)
    return Choice(candidates, selection, champion)


def _with_baseline(
    task: PromotionTask, candidates: Mapping[str, TrainedCandidate]
) -> dict[str, TrainedCandidate]:
    """Judge the baseline on the same rows, and store it as the candidates are, unless it is."""
    name = task.table.baseline
    if name in candidates:
        return {}
    return {name: log_candidate(task, evaluate(None, task.table, task.recipe))}


def _were_unscored(task: PromotionTask) -> bool:
    """Whether algorithms were tried on these rows and none could be scored, which is a result."""
    rows = task.store.read_all(CANDIDATE_SCORES.store_name, prefix=task.member.partition_key)
    scores = rows.to_dict("records")
    key = data_hash(task.table)
    return any(row["data_hash"] == key and row["status"] == "unscored" for row in scores)


def _decide(task: PromotionTask, choice: Choice) -> PromotionResult:
    registry = task.registry
    winner, champion = choice.selection.winner, choice.champion
    version = None
    if winner is not None:
        version = register(task, winner, choice.candidates)
    verdict = judge(task, champion, winner, version, choice.selection.reason, choice.candidates)
    made = None if version is None else registry.versions.get(task.member.name, version)
    if made is not None:
        registry.versions.reach_disk(made)
    before = champion.standing.serving
    replaces = verdict.replaces and version is not None
    serving = version if replaces else None if verdict.decision == "stood down" else before
    Ledger(task.store).record(
        Promotion(
            decided_at_utc=task.now,
            as_of=task.as_of,
            member=task.member,
            model_version=version,
            algorithm=None if winner is None else winner.algorithm,
            decision=verdict.decision,
            serving_version=serving,
            reason=verdict.reason,
            champion_metrics=_figures(registry, champion.version, verdict.champion_metrics),
            challenger_metrics=_figures(registry, made, verdict.challenger_metrics),
            data_hash=data_hash(task.table),
            code_version=training_version(),
            dagster_run_id=task.dagster_run_id,
            model_sha256={} if winner is None or version is None else dict(winner.model_hashes),
        )
    )
    return _result(task, verdict.decision, verdict.reason, choice.missing)


def _figures(
    registry: ModelRegistry, version: Version | None, compared: Mapping[str, Any] | None
) -> dict[str, object]:
    """Both what was promised and what the comparison found, for the ledger."""
    return (
        {} if version is None else {"promised": measured(registry, version), "compared": compared}
    )


def _result(
    task: PromotionTask, decision: str, reason: str, missing: tuple[str, ...]
) -> PromotionResult:
    champion = reconcile(task.store, task.registry, task.member)
    return PromotionResult(task.member, decision, reason, champion.version, missing)
