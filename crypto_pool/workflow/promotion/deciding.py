"""Whether the winner of a training replaces the version that serves, and what that needs."""

from collections.abc import Mapping
from datetime import date

import pandas as pd

from crypto_pool.adapters.ledger import Ledger
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.promotion import Incumbent, PromotionDecision, compare, decide
from crypto_pool.domain.served_model import ServedModel
from crypto_pool.errors import CryptoPoolError, UnscoredCandidate
from crypto_pool.workflow.promotion.reconciling import Champion
from crypto_pool.workflow.promotion.registering import PromotionTask
from crypto_pool.workflow.snapshots import load_snapshot


def judge(
    task: PromotionTask,
    champion: Champion,
    winner: TrainedCandidate | None,
    version: str | None,
    selection_reason: str,
    candidates: Mapping[str, TrainedCandidate],
) -> PromotionDecision:
    """Say whether the winner's version replaces the one that serves, and why.

    `candidates` are those of the training by algorithm, the baseline among them.
    """
    serving, name = champion.standing.serving, task.member.name
    if is_older(task):
        stays = "nobody serves" if serving is None else f"version {serving} keeps serving"
        return PromotionDecision(
            "rejected" if None in (serving, version) else "kept",
            f"{stays}: a decision later than {task.as_of} stands, and a build for an older date "
            "moves no alias back",
        )
    if serving is not None and version in champion.standing.left:
        return PromotionDecision(
            "kept",
            f"version {serving} stays: version {version} was rolled back by hand; "
            f"`crypto-pool rollback {name} --to {version}` lets it serve again",
        )
    incumbent = _incumbent(task, champion)
    if winner is None:
        verdict = decide(incumbent, None, None, task.as_of, task.rules)
        return PromotionDecision(verdict.decision, f"{selection_reason}; {verdict.reason}")
    unseen, incomparable = None, ""
    if incumbent is not None and not incumbent.fault:
        try:
            unseen = compare(
                task.table,
                incumbent,
                _load(task, champion).predict_probability,
                CANDIDATES.get(winner.algorithm),
                task.recipe,
            )
        except UnscoredCandidate as error:
            incomparable = str(error)
    return decide(
        incumbent,
        winner,
        unseen,
        task.as_of,
        task.rules,
        out_of_fold=_out_of_fold(champion, winner, candidates),
        incomparable=incomparable,
    )


def _out_of_fold(
    champion: Champion, winner: TrainedCandidate, candidates: Mapping[str, TrainedCandidate]
) -> pd.DataFrame | None:
    """Return the rows of the new training on which both algorithms were judged."""
    version = champion.version
    ours = candidates.get("" if version is None else version.tags["classifier"])
    if ours is None:
        return None
    frame = ours.evaluation.rename(columns={"probability": "champion_probability"})
    theirs = winner.evaluation["probability"].reindex(frame.index)
    return frame.assign(challenger_probability=theirs).dropna(subset=["challenger_probability"])


def _load(task: PromotionTask, champion: Champion) -> ServedModel:
    version = champion.version
    assert version is not None
    return task.registry.versions.load(task.member.name, version.version, version.ledger_hashes)


def fault_of(task: PromotionTask, champion: Champion) -> str:
    """Say why a champion can serve no more, or nothing."""
    if champion.fault or champion.version is None:
        return champion.fault
    of_terms = task.recipe.terms(task.table.features.columns).fault(champion.version.tags)
    if of_terms:
        return of_terms
    if champion.standing.quarantine:
        return f"it is quarantined ({champion.standing.quarantine})"
    try:
        _load(task, champion)
        load_snapshot(task.store, champion.version.tags["data_hash"])
    except CryptoPoolError as fault:
        return f"it no longer loads ({fault})"
    return ""


def is_older(task: PromotionTask) -> bool:
    """Whether a later bar date than the task's has been decided on."""
    decisions = Ledger(task.store).of_member(task.member)
    return not decisions.empty and max(decisions["as_of"]) > task.as_of


def _incumbent(task: PromotionTask, champion: Champion) -> Incumbent | None:
    if champion.standing.serving is None:
        return None
    fault = fault_of(task, champion)
    if champion.version is None:
        day = task.as_of
        return Incumbent(champion.standing.serving, day, day, day, 0.5, fault)
    tags = champion.version.tags
    return Incumbent(
        version=champion.version.version,
        trained_as_of=date.fromisoformat(tags["as_of"]),
        trained_through=date.fromisoformat(tags["trained_through"]),
        seen_through=date.fromisoformat(max(tags["trained_through"], tags["chosen_through"])),
        decision_threshold=float(tags["decision_threshold"]),
        fault=fault,
    )
