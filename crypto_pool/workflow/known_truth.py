"""Does the recipe tell skill from chance? Asked on markets whose truth is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.features import build_features
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.market import Trend
from crypto_pool.domain.policies import policy_of
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.selection import promise_of, winner_of
from crypto_pool.domain.training import TrainingTable, training_table
from crypto_pool.errors import InvalidSetting, UnscoredCandidate
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.training import import_libraries

RANDOM_WALK = 0.0
STRENGTHS = (0.3, 0.6)
# What precedes the first labelled row (60 returns) and follows the last (the horizon).
UNLABELLED_DAYS = 80


@dataclass(frozen=True)
class StudyTask:
    """One coin of one synthetic market; strength 0 is the pure random walk."""

    strength: float
    seed: int
    symbol: str
    candidates: tuple[str, ...]
    training_rows: int

    @property
    def recipe(self) -> Recipe:
        """How each candidate is made."""
        return Recipe(seed=self.seed, training_rows=self.training_rows)


@dataclass(frozen=True)
class MemberFinding:
    """What the recipe promises of one member's winner, gates left aside."""

    strength: float
    seed: int
    symbol: str
    trend: str
    winner: str
    skill: float | None
    skill_low: float | None
    skill_high: float | None
    pbo: float | None


@dataclass(frozen=True)
class StrengthFinding:
    """All members of one strength: how many claim skill, and their promised skill on average.

    A claim is a 90 % interval of promised skill that lies above 0.
    """

    strength: float
    members: int
    claims: int
    claim_share: float | None
    mean_skill: float | None


def study_known_truth(
    seeds: int, symbols: Sequence[str], candidates: Sequence[str], training_rows: int, workers: int
) -> tuple[list[StrengthFinding], list[MemberFinding]]:
    """Train on random walks and on planted predictability, and count what is claimed."""
    unknown = [name for name in candidates if name not in CANDIDATES]
    if unknown or not candidates or not symbols or seeds < 1:
        raise InvalidSetting(
            f"the study needs a seed, a symbol and candidates out of {', '.join(CANDIDATES)}; got "
            f"{seeds} seeds, {len(symbols)} symbols and candidates {', '.join(candidates)!r}"
        )
    strengths = (RANDOM_WALK, *STRENGTHS)
    tasks = [
        StudyTask(strength, seed, symbol, tuple(candidates), training_rows)
        for strength in strengths
        for seed in range(seeds)
        for symbol in symbols
    ]
    answers = WorkerPool(workers).map_unordered(study_coin, tasks)
    members = sorted(
        (finding for answer in answers for finding in answer),
        key=lambda finding: (finding.strength, finding.seed, finding.symbol, finding.trend),
    )
    return [summarise(strength, members) for strength in strengths], members


def study_coin(task: StudyTask) -> list[MemberFinding]:
    """Evaluate both members of one coin; a member nobody could be scored for is left out."""
    import_libraries()
    market = SyntheticMarket(
        seed=task.seed, predictability=task.strength, random_walk=task.strength == RANDOM_WALK
    )
    through = market.epoch + timedelta(days=task.training_rows + UNLABELLED_DAYS)
    bars = market.bars(task.symbol, through)
    features = build_features(compute_indicators(bars))
    findings = []
    for trend in Trend:
        table = training_table(
            bars,
            features,
            trend,
            pd.Timestamp(through),
            task.recipe,
        )
        finding = _study_member(task, trend, table)
        if finding is not None:
            findings.append(finding)
    return findings


def summarise(strength: float, members: Sequence[MemberFinding]) -> StrengthFinding:
    """Count the claims of one strength; without members shares and means are None."""
    mine = [member for member in members if member.strength == strength]
    claims = sum(member.skill_low is not None and member.skill_low > 0 for member in mine)
    skills = [member.skill for member in mine if member.skill is not None]
    return StrengthFinding(
        strength=strength,
        members=len(mine),
        claims=claims,
        claim_share=claims / len(mine) if mine else None,
        mean_skill=float(np.mean(skills)) if skills else None,
    )


def _study_member(task: StudyTask, trend: Trend, table: TrainingTable) -> MemberFinding | None:
    policy = policy_of(task.recipe)
    fitted: dict[str, TrainedCandidate] = {}
    for name in task.candidates:
        try:
            fitted[name] = policy.evaluate(CANDIDATES[name], table)
        except UnscoredCandidate:
            continue  # as in the pool: an unscored candidate takes no part in the choice
    if not fitted:
        return None
    baseline = table.baseline
    fitted[baseline] = policy.evaluate(None, table)
    winner, _ = winner_of(fitted, baseline, task.recipe)
    promise = promise_of(fitted, winner, task.recipe)
    skill = promise.promised["skill_over_reference"]
    return MemberFinding(
        strength=task.strength,
        seed=task.seed,
        symbol=task.symbol,
        trend=trend.value,
        winner=winner,
        skill=skill.value,
        skill_low=skill.low,
        skill_high=skill.high,
        pbo=promise.pbo,
    )
