"""What a decision about a champion needs, and whether the winner replaces the one that serves."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger, quarantine_reason
from crypto_pool.adapters.model_aliases import ROLLED_BACK_TAG
from crypto_pool.adapters.model_records import ChampionRecord, RunRecord
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.market import Member
from crypto_pool.domain.policies import EvaluationPolicy, policy_of
from crypto_pool.domain.promotion import (
    Challenger,
    Incumbent,
    PromotionRules,
    Verdict,
    compare,
    decide,
)
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.training import TrainingTable
from crypto_pool.errors import CryptoPoolError, UnscoredCandidate


@dataclass(frozen=True)
class ChampionTask:
    """What a worker needs to choose one member's champion."""

    member: Member
    table: TrainingTable
    as_of: date
    recipe: Recipe
    explained_rows: int
    rules: PromotionRules
    registry: ModelRegistry
    store: FrameStore
    now: datetime
    dagster_run_id: str

    @property
    def evaluation_policy(self) -> EvaluationPolicy:
        """How candidates are judged."""
        return policy_of(self.recipe)


def judge(
    task: ChampionTask,
    serving: ChampionRecord | None,
    run: RunRecord | None,
    version: str | None,
    selection_reason: str,
    evaluations: Mapping[str, pd.DataFrame],
) -> Verdict:
    """Say whether the winner's version replaces the one that serves, and why.

    `evaluations` holds the out-of-fold rows of the training by algorithm.
    """
    if serving is not None and is_older(task, serving):
        return Verdict(
            "rejected" if version is None else "kept",
            f"version {serving.version} keeps serving: a decision later than {task.as_of} "
            "stands, and a build for an older date moves no alias back",
        )
    if serving is not None and version is not None and _is_rolled_back(task, version):
        return Verdict(
            "kept",
            f"version {serving.version} stays: version {version} was rolled back by hand; "
            f"`crypto-pool rollback {task.member.name} --to {version}` lets it serve again",
        )
    if run is None:
        verdict = decide(_incumbent(task, serving), None, None, task.as_of, task.rules)
        return Verdict(verdict.decision, f"{selection_reason}; {verdict.reason}")
    champion = _incumbent(task, serving)
    unseen, incomparable = None, ""
    if champion is not None and not champion.fault:
        try:
            unseen = compare(
                task.table,
                champion,
                task.registry.load(task.member.name, champion.version).predict_probability,
                CANDIDATES[run.algorithm],
                task.evaluation_policy,
            )
        except UnscoredCandidate as error:
            incomparable = str(error)
    return decide(
        champion,
        Challenger(run.algorithm, float(run.tags["decision_threshold"])),
        unseen,
        task.as_of,
        task.rules,
        out_of_fold=_out_of_fold(serving, run.algorithm, evaluations),
        incomparable=incomparable,
    )


def _is_rolled_back(task: ChampionTask, version: str) -> bool:
    return bool(task.registry.version(task.member.name, version).tags.get(ROLLED_BACK_TAG))


def _out_of_fold(
    serving: ChampionRecord | None, challenger: str, evaluations: Mapping[str, pd.DataFrame]
) -> pd.DataFrame | None:
    """Return the rows of the new training on which both algorithms were judged."""
    ours = evaluations.get("" if serving is None else serving.tags["classifier"])
    if ours is None:
        return None
    theirs = evaluations[challenger]["probability"]
    frame = ours.rename(columns={"probability": "champion_probability"})
    return frame.assign(challenger_probability=theirs.reindex(frame.index)).dropna(
        subset=["challenger_probability"]
    )


def _incumbent(task: ChampionTask, serving: ChampionRecord | None) -> Incumbent | None:
    if serving is None:
        return None
    tags = serving.tags
    trained, chosen = (
        date.fromisoformat(tags[name]) for name in ("trained_through", "chosen_through")
    )
    return Incumbent(
        version=serving.version,
        trained_as_of=date.fromisoformat(tags["as_of"]),
        trained_through=trained,
        seen_through=max(trained, chosen),
        decision_threshold=float(tags["decision_threshold"]),
        fault=_fault(task, serving),
    )


def _fault(task: ChampionTask, serving: ChampionRecord) -> str:
    """Say why a champion can serve no more, or nothing."""
    changed = task.recipe.terms(task.table.features.columns).difference(serving.tags)
    if changed:
        return f"its terms are not the pool's: {changed}"
    quarantine = quarantine_reason(Ledger(task.store).of_member(task.member), task.now)
    if quarantine:
        return f"it is quarantined ({quarantine})"
    try:
        task.registry.load(task.member.name, serving.version)
    except CryptoPoolError as fault:
        return f"it no longer loads ({fault})"
    return ""


def is_older(task: ChampionTask, serving: ChampionRecord | None) -> bool:
    """Whether a later bar date than the task's has been decided on."""
    if serving is None:
        return False
    decisions = Ledger(task.store).of_member(task.member)
    latest = [date.fromisoformat(serving.tags["as_of"])]
    if not decisions.empty:
        latest.append(max(decisions["as_of"]))
    return max(latest) > task.as_of
