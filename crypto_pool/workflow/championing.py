"""Choose, explain, register and, if it wins, promote the champion of one member.

The ledger is written before an alias moves, so that a process killed in between leaves the
old champion serving, and the next run, which decides the same, moves the alias.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from crypto_pool.adapters.explanation_plots import draw_explanation
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger, Promotion, quarantine_reason
from crypto_pool.adapters.model_aliases import ROLLED_BACK_TAG
from crypto_pool.adapters.model_records import ChampionRecord, RunRecord
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.evaluation import Gates
from crypto_pool.domain.market import Member
from crypto_pool.domain.overfitting import correct_selection
from crypto_pool.domain.policies import EvaluationPolicy, policy_from_name
from crypto_pool.domain.promotion import (
    Challenger,
    Incumbent,
    PromotionRules,
    Verdict,
    compare,
    decide,
)
from crypto_pool.domain.selection import CandidateScore, choose_champion
from crypto_pool.domain.training import TrainingTable, data_hash
from crypto_pool.errors import CryptoPoolError
from crypto_pool.workflow.code_version import code_version
from crypto_pool.workflow.registration import PROMISED, champion_row, explain_run, version_tags
from crypto_pool.workflow.repairing import complete_decision
from crypto_pool.workflow.snapshots import store_snapshot


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
    rules: PromotionRules
    registry: ModelRegistry
    store: FrameStore
    now: datetime
    dagster_run_id: str

    @property
    def evaluation_policy(self) -> EvaluationPolicy:
        """The policy with the horizon and the calibration of the settings."""
        return policy_from_name(
            self.policy,
            horizon=self.rules.horizon,
            calibration=str(self.settings["calibration"]),
        )


@dataclass(frozen=True)
class ChampionDecision:
    """The decision in words, and the row of the table champions if somebody serves."""

    member: Member
    decision: str
    reason: str
    row: Mapping[str, Any] | None = None
    missing: tuple[str, ...] = ()


def appoint_champion(task: ChampionTask) -> ChampionDecision:
    """Choose among the finished runs on the same data, and let the winner meet the champion.

    A build for an older date than the last decision registers its winner and moves no
    alias. Running it again changes nothing.
    """
    registry, name = task.registry, task.member.name
    complete_decision(registry, task.member, Ledger(task.store).of_member(task.member))
    runs = {
        algorithm: run
        for algorithm, run in registry.finished_runs(name, data_hash(task.table)).items()
        if run.tags["evaluation_policy"] == task.policy
    }
    missing = tuple(algorithm for algorithm in CANDIDATES if algorithm not in runs)
    scores = [CandidateScore(algorithm, run.run_id, run.metrics) for algorithm, run in runs.items()]
    selection = choose_champion(scores, Gates(), task.evaluation_policy)
    serving = registry.champion(name)
    run = None if selection.winner is None else runs[selection.winner.algorithm]
    version = None if run is None else _register(task, run, runs)
    if serving is not None and serving.version == version:
        return _result(task, "serves", selection.reason, missing)
    verdict = _judge(task, serving, run, version, selection.reason)
    challenger_serves = verdict.replaces and version is not None
    served_before = None if serving is None else serving.version
    if version is not None:
        registry.tag_version(
            name, version, {"verdict": verdict.decision, "verdict_reason": verdict.reason}
        )
    Ledger(task.store).record(
        Promotion(
            decided_at_utc=task.now,
            as_of=task.as_of,
            member=task.member,
            model_version=version,
            algorithm=None if run is None else run.algorithm,
            decision=verdict.decision,
            serving_version=version if challenger_serves else served_before,
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
    if version is not None and challenger_serves:
        registry.set_champion(name, version)
    elif version is not None and not _is_older(task, serving):
        registry.set_challenger(name, version)
    return _result(task, verdict.decision, verdict.reason, missing)


def _register(task: ChampionTask, run: RunRecord, runs: Mapping[str, RunRecord]) -> str:
    """Register a run with all its tags, or find the version it has."""
    registry = task.registry
    known = registry.registered_version(task.member.name, run.run_id)
    if known is not None:
        return known
    store_snapshot(task.store, task.table)
    evaluations = {
        algorithm: registry.load_evaluation(other.run_id) for algorithm, other in runs.items()
    }
    importance = explain_run(
        registry, run, task.table, evaluations[run.algorithm], task.explained_rows, task.seed
    )
    tags = version_tags(
        task.member,
        run,
        task.settings,
        [str(column) for column in task.table.features.columns],
        importance,
        correct_selection(evaluations, run.algorithm, task.rules.horizon),
        task.now,
    )
    registry.set_feature_importance(run.run_id, importance.mean)
    synthetic = run.tags.get("synthetic") == "true"
    registry.log_files(
        run.run_id,
        draw_explanation(importance, task.member.name, run.algorithm, synthetic=synthetic),
    )
    return registry.register(task.member.name, run, tags)


def _judge(
    task: ChampionTask,
    serving: ChampionRecord | None,
    run: RunRecord | None,
    version: str | None,
    selection_reason: str,
) -> Verdict:
    if serving is not None and version is not None:
        if _is_older(task, serving):
            return Verdict(
                "kept",
                f"version {serving.version} keeps serving: a decision later than {task.as_of} "
                "stands, and a build for an older date moves no alias back",
            )
        if task.registry.version(task.member.name, version).tags.get(ROLLED_BACK_TAG):
            return Verdict(
                "kept",
                f"version {serving.version} stays: version {version} was rolled back by hand; "
                f"`crypto-pool rollback {task.member.name} --to {version}` lets it serve again",
            )
    if run is None:
        verdict = decide(_incumbent(task, serving), None, None, task.as_of, task.rules)
        return Verdict(verdict.decision, f"{selection_reason}; {verdict.reason}")
    champion = _incumbent(task, serving)
    comparison = None
    if champion is not None and not champion.fault:
        comparison = compare(
            task.table,
            champion,
            task.registry.load(task.member.name, champion.version).predict_probability,
            CANDIDATES[run.algorithm],
            task.evaluation_policy,
            task.seed,
            task.rules.horizon,
        )
    challenger = Challenger(run.algorithm, float(run.tags["decision_threshold"]))
    return decide(champion, challenger, comparison, task.as_of, task.rules)


def _incumbent(task: ChampionTask, serving: ChampionRecord | None) -> Incumbent | None:
    if serving is None:
        return None
    tags = serving.tags
    trained, chosen = (
        date.fromisoformat(tags[name]) for name in ("trained_through", "chosen_through")
    )
    return Incumbent(
        version=serving.version,
        algorithm=tags["classifier"],
        trained_through=trained,
        seen_through=max(trained, chosen),
        decision_threshold=float(tags["decision_threshold"]),
        fault=_fault(task, serving),
    )


def _fault(task: ChampionTask, serving: ChampionRecord) -> str:
    """Say why a champion can serve no more, or nothing."""
    for name in ("target", "target_pct", "prediction_window_days"):
        if serving.tags.get(name) != str(task.settings[name]):
            return f"its {name} is {serving.tags.get(name)}, the pool's {task.settings[name]}"
    quarantine = quarantine_reason(Ledger(task.store).of_member(task.member), task.now)
    if quarantine:
        return f"it is quarantined ({quarantine})"
    try:
        model = task.registry.load(task.member.name, serving.version)
    except CryptoPoolError as fault:
        return f"it no longer loads ({fault})"
    if list(model.feature_names) != list(task.table.features.columns):
        return "its feature schema is not that of the feature table any more"
    return ""


def _is_older(task: ChampionTask, serving: ChampionRecord | None) -> bool:
    """Whether a later bar date than the task's has been decided on."""
    if serving is None:
        return False
    decisions = Ledger(task.store).of_member(task.member)
    latest = [date.fromisoformat(serving.tags["as_of"])]
    if not decisions.empty:
        latest.append(max(decisions["as_of"]))
    return max(latest) > task.as_of


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
