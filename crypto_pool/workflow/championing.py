"""Choose, explain, register and, if it wins, promote the champion of one member.

The ledger is written before an alias moves, so that a process killed in between leaves the
old champion serving, and the next run, which decides the same, moves the alias.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from crypto_pool.adapters.asset_pictures import JUDGEMENT_FILE, draw_judgement
from crypto_pool.adapters.explanation_plots import draw_explanation
from crypto_pool.adapters.ledger import Ledger, Promotion
from crypto_pool.adapters.model_records import ChampionRecord, RunRecord
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.evaluation import Gates
from crypto_pool.domain.market import Member
from crypto_pool.domain.overfitting import correct_selection
from crypto_pool.domain.selection import CandidateScore, Selection, choose_champion
from crypto_pool.domain.training import data_hash
from crypto_pool.workflow.code_version import code_version
from crypto_pool.workflow.isolation import Failure, map_isolated
from crypto_pool.workflow.judging import ChampionTask, is_older, judge
from crypto_pool.workflow.registration import PROMISED, champion_row, explain_run, version_tags
from crypto_pool.workflow.repairing import complete_decision
from crypto_pool.workflow.snapshots import store_snapshot


@dataclass(frozen=True)
class ChampionDecision:
    """The decision in words, and the row of the table champions if somebody serves."""

    member: Member
    decision: str
    reason: str
    row: Mapping[str, Any] | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The runs on the task's data, the winner among them, and who serves."""

    runs: Mapping[str, RunRecord]
    selection: Selection
    serving: ChampionRecord | None

    @property
    def run(self) -> RunRecord | None:
        """The winner's run."""
        winner = self.selection.winner
        return None if winner is None else self.runs[winner.algorithm]

    @property
    def missing(self) -> tuple[str, ...]:
        """The candidates without a run on these data."""
        return tuple(algorithm for algorithm in CANDIDATES if algorithm not in self.runs)


def appoint_champions(
    workers: WorkerPool, tasks: Sequence[ChampionTask]
) -> Iterator[tuple[ChampionTask, ChampionDecision | Failure]]:
    """Each task with its decision; workers start for those that something is fitted for."""
    open_tasks = []
    for task, decision in map_isolated(WorkerPool(), settle_champion, tasks):
        if decision is None:
            open_tasks.append(task)
        else:
            yield task, decision
    if open_tasks:
        yield from map_isolated(workers, appoint_champion, open_tasks)


def settle_champion(task: ChampionTask) -> ChampionDecision | None:
    """Decide if nothing has to be fitted or explained for it: the winner serves, or nobody can."""
    choice = _choose(task)
    if choice.run is None:
        return _decide(task, choice) if choice.serving is None else None
    version = task.registry.registered_version(task.member.name, choice.run.run_id)
    if version is None or choice.serving is None or choice.serving.version != version:
        return None
    return _result(task, "serves", choice.selection.reason, choice.missing)


def appoint_champion(task: ChampionTask) -> ChampionDecision:
    """Choose among the finished runs on the same data, and let the winner meet the champion.

    A build for an older date than the last decision registers its winner and moves no
    alias. Running it again changes nothing.
    """
    return settle_champion(task) or _decide(task, _choose(task))


def _choose(task: ChampionTask) -> Choice:
    registry, name = task.registry, task.member.name
    complete_decision(registry, task.member, Ledger(task.store).of_member(task.member))
    runs = {
        algorithm: run
        for algorithm, run in registry.finished_runs(name, data_hash(task.table)).items()
        if run.tags["evaluation_policy"] == task.recipe.evaluation_policy
    }
    scores = [CandidateScore(algorithm, run.metrics) for algorithm, run in runs.items()]
    selection = choose_champion(scores, Gates(), task.evaluation_policy)
    return Choice(runs, selection, registry.champion(name))


def _decide(task: ChampionTask, choice: Choice) -> ChampionDecision:
    registry, name = task.registry, task.member.name
    run, serving, selection = choice.run, choice.serving, choice.selection
    version = None if run is None else _register(task, run, choice.runs)
    evaluations = _evaluations(task, choice.runs)
    verdict = judge(task, serving, run, version, selection.reason, evaluations)
    challenger_serves = verdict.replaces and version is not None
    served_before = None if serving is None else serving.version
    serves = version if challenger_serves else served_before
    if version is not None:
        registry.tag_version(
            name, version, {"verdict": verdict.decision, "verdict_reason": verdict.reason}
        )
    if run is not None:
        registry.reach_disk(run)
    Ledger(task.store).record(
        Promotion(
            decided_at_utc=task.now,
            as_of=task.as_of,
            member=task.member,
            model_version=version,
            algorithm=None if run is None else run.algorithm,
            decision=verdict.decision,
            serving_version=None if verdict.decision == "stood down" else serves,
            reason=verdict.reason,
            champion_metrics=_metrics(
                verdict.champion_metrics, None if serving is None else registry.run(serving.run_id)
            ),
            challenger_metrics=_metrics(verdict.challenger_metrics, run),
            data_hash=data_hash(task.table),
            code_version=code_version(),
            dagster_run_id=task.dagster_run_id,
            replaced_version=served_before,
        )
    )
    if verdict.decision == "stood down":
        registry.stand_down(name)
    elif version is not None and challenger_serves:
        registry.set_champion(name, version)
    elif version is not None and not is_older(task, serving):
        registry.set_challenger(name, version)
    return _result(task, verdict.decision, verdict.reason, choice.missing)


def _register(task: ChampionTask, run: RunRecord, runs: Mapping[str, RunRecord]) -> str:
    """Register a run with all its tags, or find the version it has."""
    registry = task.registry
    known = registry.registered_version(task.member.name, run.run_id)
    if known is not None:
        return known
    store_snapshot(task.store, task.table)
    evaluations = _evaluations(task, runs)
    importance = explain_run(
        registry,
        run,
        task.table,
        evaluations[run.algorithm],
        task.explained_rows,
        task.recipe.seed,
    )
    tags = version_tags(
        task.member,
        run,
        task.recipe,
        task.table,
        importance,
        correct_selection(evaluations, run.algorithm, task.recipe.horizon),
        task.now,
    )
    registry.set_feature_importance(run.run_id, importance.mean)
    synthetic = run.tags.get("synthetic") == "true"
    registry.log_files(
        run.run_id,
        {
            **draw_explanation(importance, task.member.name, run.algorithm, synthetic=synthetic),
            JUDGEMENT_FILE: draw_judgement(
                evaluations[run.algorithm], f"{task.member.name}: {run.algorithm}"
            ),
        },
    )
    return registry.register(task.member.name, run, tags)


def _evaluations(task: ChampionTask, runs: Mapping[str, RunRecord]) -> dict[str, pd.DataFrame]:
    return {algorithm: task.registry.load_evaluation(run.run_id) for algorithm, run in runs.items()}


def _metrics(compared: Mapping[str, Any] | None, run: RunRecord | None) -> dict[str, object]:
    """Both what was promised and what the comparison found, for the ledger."""
    if run is None:
        return {}
    promised = {name: run.metrics.get(name) for name in PROMISED}
    return {"promised": promised, "compared": None if compared is None else dict(compared)}


def _result(
    task: ChampionTask, decision: str, reason: str, missing: tuple[str, ...]
) -> ChampionDecision:
    champion = task.registry.champion(task.member.name)
    row = None
    if champion is not None:
        row = champion_row(champion, task.member, task.registry.run(champion.run_id))
    return ChampionDecision(task.member, decision, reason, row, missing)
