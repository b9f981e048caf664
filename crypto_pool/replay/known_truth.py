"""Does the pool tell skill from chance, and whose it is? Asked on markets whose truth is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pandas as pd

from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.intervals import Estimate
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.panel_fitting import FIRST_ORIGIN_ROWS
from crypto_pool.domain.performance import skill_of
from crypto_pool.domain.policies import evaluate
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.selection import promise_of, winner_of
from crypto_pool.domain.training import TrainingTable, training_table
from crypto_pool.errors import InvalidSetting, UnscoredCandidate
from crypto_pool.replay.market import Market
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.panel import panel_probability

# Drift without a change of volatility is for candidates alone to find, and the other way round.
PLANTED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "nothing": {"random_walk": True},
        "volatility": {"predictability": 0.0},
        "drift": {"predictability": 0.6, "constant_volatility": True, "delay_days": 15},
    }
)
# What precedes the first labelled row (60 returns) and follows the last (the horizon).
UNLABELLED_DAYS = 80
SKILL = "skill_over_reference"


@dataclass(frozen=True)
class StudyTask:
    """One synthetic market, by what is planted in it."""

    planted: str
    seed: int
    symbols: tuple[str, ...]
    candidates: tuple[str, ...]
    training_rows: int


@dataclass(frozen=True)
class MemberFinding:
    """What one member's training claims, gates left aside, and the rows behind it.

    `panel` is the panel's skill over the reference, `added` that over the panel of a candidate
    which won, charged for its choice; either is claimed where its 90 % interval lies above 0.
    `rows` holds by prediction_date what came, and the winner's, panel's and reference's forecast.
    """

    task: StudyTask
    member: Member
    winner: str
    baseline: str
    panel: Estimate
    added: Estimate
    rows: pd.DataFrame

    @property
    def is_won(self) -> bool:
        """Whether a candidate won."""
        return self.winner != self.baseline

    def to_row(self) -> dict[str, Any]:
        """Return the finding for a report."""
        return {
            "planted": self.task.planted,
            "seed": self.task.seed,
            "member": self.member.name,
            "winner": self.winner,
            **self.panel.columns("panel_skill"),
            **self.added.columns("added_skill"),
        }


def study_known_truth(
    seeds: int, symbols: Sequence[str], candidates: Sequence[str], training_rows: int, workers: int
) -> list[MemberFinding]:
    """Train on random walks, on planted volatility and on planted drift, a market for each seed."""
    unknown = [name for name in candidates if name not in CANDIDATES]
    if unknown or not candidates or not symbols or seeds < 1:
        raise InvalidSetting(
            f"the study needs a seed, a symbol and candidates out of {', '.join(CANDIDATES)}; got "
            f"{seeds} seeds, {len(symbols)} symbols and candidates {', '.join(candidates)!r}"
        )
    tasks = [
        StudyTask(planted, seed, tuple(symbols), tuple(candidates), training_rows)
        for seed in range(seeds)
        for planted in PLANTED
    ]
    answers = WorkerPool(workers).map_unordered(study_market, tasks)
    return sorted(
        (finding for _, answer in answers for finding in answer),
        key=lambda one: ([*PLANTED].index(one.task.planted), one.task.seed, one.member),
    )


def study_market(task: StudyTask) -> list[MemberFinding]:
    """Fit the panel of a market's coins, and train every member as of its last day."""
    made = SyntheticMarket(seed=task.seed, **PLANTED[task.planted])
    recipe = Recipe(seed=task.seed, training_rows=task.training_rows)
    days = UNLABELLED_DAYS + FIRST_ORIGIN_ROWS // len(task.symbols) + task.training_rows
    through = made.epoch + timedelta(days=days)
    market = Market.of({name: made.bars(name, through) for name in task.symbols}, recipe, through)
    members = [Member(symbol, trend) for symbol in task.symbols for trend in Trend]
    return [
        judge_member(
            task,
            member,
            training_table(
                market.bars[member.symbol],
                market.features[member.symbol],
                member.trend,
                pd.Timestamp(through),
                recipe,
                panel_probability(market.panel.forecasts, member),
            ),
            recipe,
        )
        for member in members
    ]


def judge_member(
    task: StudyTask, member: Member, table: TrainingTable, recipe: Recipe
) -> MemberFinding:
    """Train a member as the pool does, and say what panel and candidates may claim."""
    baseline = table.baseline
    scored = {baseline: evaluate(None, table, recipe)}
    for name in task.candidates:
        try:
            scored[name] = evaluate(CANDIDATES[name], table, recipe, with_model=False)
        except UnscoredCandidate:
            continue  # as in the pool: an unscored candidate takes no part in the choice
    winner, _ = winner_of(scored, baseline, recipe)
    panel = promise_of({baseline: scored[baseline]}, baseline, recipe).promised[SKILL]
    added = Estimate()
    if winner != baseline:
        over = {name: _over_baseline(one) for name, one in scored.items()}
        added = promise_of(over, winner, recipe).promised[SKILL]
    rows = scored[winner].evaluation.rename_axis("prediction_date").reset_index()
    rows = rows.rename(columns={"label": "outcome", "baseline_probability": "panel_probability"})
    return MemberFinding(task, member, winner, baseline, panel, added, rows)


def summarise(findings: Sequence[MemberFinding], horizon: int = 10) -> list[dict[str, Any]]:
    """Count for each planted thing who won and who claims skill, and say how much there was.

    The skill over the reference, as measured out of fold, of the panel on all members and of the
    candidates on those that they won; a day's members are resampled together.
    """
    report = []
    for planted in PLANTED:
        mine = [one for one in findings if one.task.planted == planted]
        won = [one for one in mine if one.is_won]
        everybody = [one.rows.assign(probability=one.rows["panel_probability"]) for one in mine]
        report.append(
            {
                "planted": planted,
                "members": len(mine),
                "won_by_candidates": len(won),
                "claims_of_candidates": sum((one.added.low or 0) > 0 for one in won),
                "claims_of_panel": sum((one.panel.low or 0) > 0 for one in mine),
                **_pooled(everybody, horizon).columns("panel_skill"),
                **_pooled([one.rows for one in won], horizon).columns("candidates_skill"),
            }
        )
    return report


def _pooled(frames: Sequence[pd.DataFrame], horizon: int) -> Estimate:
    return skill_of(pd.concat(frames), horizon) if frames else Estimate()


def _over_baseline(scored: TrainedCandidate) -> TrainedCandidate:
    """Return a candidate with its baseline in the reference's place."""
    rows = scored.evaluation
    return replace(
        scored, evaluation=rows.assign(reference_probability=rows["baseline_probability"])
    )
