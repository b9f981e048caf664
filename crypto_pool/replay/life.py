"""The life of a pool over history: the live workflow day by day, by a clock that stands at each.

Nothing here decides or forecasts. A day is lived in the order of the live pool: what had closed is
there, what has matured is scored, champions are reviewed, members that are due are trained and
promoted, and the day is forecast.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from crypto_pool.adapters.extensions import extension_codes
from crypto_pool.adapters.ledger import Decisions, Ledger
from crypto_pool.adapters.providers import MarketDataProvider
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.staleness import members_due
from crypto_pool.domain.tables import PREDICTIONS
from crypto_pool.domain.training import TrainingTable
from crypto_pool.errors import CryptoPoolError, MissingFeatures
from crypto_pool.replay.market import SHOWN, Market
from crypto_pool.replay.memory import MemoryRegistry, MemoryStore
from crypto_pool.replay.plan import ReplayPlan, daily_run_of
from crypto_pool.replay.trainings import Trainings
from crypto_pool.workflow.code_version import TRAINING, code_version
from crypto_pool.workflow.day_forecasts import DayForecaster
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.isolation import Failure, map_isolated
from crypto_pool.workflow.monitoring import observe_members
from crypto_pool.workflow.panel import stored_forecasts
from crypto_pool.workflow.promotion.promoting import promote_members
from crypto_pool.workflow.promotion.registering import PromotionTask
from crypto_pool.workflow.pulling import bars_until
from crypto_pool.workflow.reviewing import Outcomes, Reviewer
from crypto_pool.workflow.scoring import score_day
from crypto_pool.workflow.training import (
    MemberTask,
    TrainingTask,
    keep_scores,
    member_table,
    train_candidate,
)
from crypto_pool.workflow.warm_up import warm_up_fits

RUN_ID = "replay"


@dataclass
class PoolLife:
    """One pool that lives through a market; its store then holds what a live one's would.

    `folder` keeps what was trained, so that a replay which was stopped trains none of it again.
    The models that serve are made of versions alone, once they are registered.
    """

    plan: ReplayPlan
    market: Market
    recipe: Recipe
    folder: Path
    trainings: Trainings = field(default_factory=Trainings)
    synthetic: bool = False
    store: MemoryStore = field(default_factory=MemoryStore)
    failures: dict[str, date] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open the registry."""
        self.registry = MemoryRegistry(self.folder, self.recipe)
        self._frames = FrameCache(self.store)

    @property
    def members(self) -> list[Member]:
        """All members, coin by coin."""
        return [Member(symbol, trend) for symbol in self.market.bars for trend in Trend]

    def live_day(self, day: date, now: datetime, known: dict[Any, Any] | None = None) -> None:
        """Live one day at a moment; the days before it have been lived.

        `known` takes what others find out of the day's market, and may use.
        """
        self._show(day, {} if known is None else known)
        self._score(day, now)
        self._review(day, now)
        due = self._due(day, now)
        if due:
            self._train(self._training_tasks(due, day), day, now)
        self._forecast(day, now)

    def _show(self, day: date, known: dict[Any, Any]) -> None:
        self.market.show(self.store, day)
        self._frames = self._frames.on_later_bars(known)

    def _score(self, day: date, now: datetime) -> None:
        matured = f"{day - timedelta(days=self.recipe.horizon)}"
        if self.store.exists(PREDICTIONS.store_name, matured):
            score_day(self._frames, matured, now, self._frames.panel(self.recipe.target))

    def score_rest(self) -> None:
        """Score the forecasts that mature after the last day, by the bars there are."""
        for ahead in range(1, self.recipe.horizon + 1):
            day = self.plan.end + timedelta(days=ahead)
            self._show(day, {})
            self._score(day, daily_run_of(day))

    def _review(self, day: date, now: datetime) -> None:
        rules = self.plan.review
        decisions = self.decisions()
        outcomes = Outcomes.read(self.store, decisions, day, rules)
        reviewer = Reviewer(self.store, self.registry, rules, day, now, RUN_ID, measures=False)
        for member in self.members:
            try:
                reviewer.review(member, outcomes, decisions.of(member))
            except CryptoPoolError as error:  # one member never stops the others
                self._fail(day, f"{member.name} cannot be reviewed: {error}")

    def _due(self, day: date, now: datetime) -> list[Member]:
        is_on_grid = self.plan.retrain_every_days is not None
        if is_on_grid and not self.plan.is_training_day(day):
            return []
        needed = self.plan.min_history_bars
        members = [one for one in self.members if bars_until(self.store, one.symbol, day) >= needed]
        if is_on_grid:
            return members
        window = self.plan.review.window_days
        states, faults = observe_members(
            self.store, self.registry, members, self.recipe, window, day, now
        )
        for name, fault in faults.items():
            self._fail(day, f"{name} {fault}")
        return members_due(states, day, self.plan.retrain)

    def tasks_ahead(self, day: date) -> list[TrainingTask]:
        """Return what a day of the grid will train, unless the ledger changes it until then."""
        then = replace(self, store=MemoryStore(), failures={})
        then.market.show(then.store, day)
        return then._training_tasks(then._due(day, daily_run_of(day)), day)

    def _training_tasks(self, members: list[Member], day: date) -> list[TrainingTask]:
        return [
            TrainingTask(
                member=member,
                algorithm=algorithm,
                table=table,
                as_of=day,
                recipe=self.recipe,
                synthetic=self.synthetic,
                registry=self.registry,
                dagster_run_id=RUN_ID,
                parent_run_id=None,
                with_model=False,
            )
            for member, table in self._tables(members, day).items()
            for algorithm in self.plan.algorithms
        ]

    def _train(self, tasks: Sequence[TrainingTask], day: date, now: datetime) -> None:
        scored = []
        for task, result in self.trainings.outcomes(tasks):
            if isinstance(result, Failure):
                self._fail(day, f"{task.member.name} {task.algorithm}: {result.reason}")
                continue
            scored.append((task, result))
        keep_scores(self.store, scored)
        self._promote({task.member: task for task in tasks}.values(), day, now)
        versions = self.registry.versions
        won = [
            replace(task, with_model=True)
            for task, result in scored
            if isinstance(result, TrainedCandidate)
            and versions.lacks_model(task.member.name, result.run_id)
        ]
        for task, made in map_isolated(WorkerPool(), train_candidate, won):
            if not isinstance(made, TrainedCandidate):
                self._fail(day, f"{task.member.name} {task.algorithm}: {made.reason}")

    def _tables(self, members: list[Member], day: date) -> Mapping[Member, TrainingTable]:
        tables, panel = {}, stored_forecasts(self.store, self.recipe.target)
        for member in members:
            try:
                tables[member] = member_table(self.store, member, day, self.recipe, panel)
            except CryptoPoolError as error:  # one member never stops the others
                self._fail(day, f"{member.name}: {error}")
        return tables

    def _promote(self, trained: Iterable[MemberTask], day: date, now: datetime) -> None:
        rules, store = self.plan.promotion, self.store
        tasks = [
            PromotionTask(**own, explained_rows=0, rules=rules, store=store, now=now)
            for one in trained
            for own in [{each.name: getattr(one, each.name) for each in fields(MemberTask)}]
        ]
        for task, result in promote_members(WorkerPool(), tasks):
            if isinstance(result, Failure):
                self._fail(day, f"{task.member.name}: {result.reason}")

    def _forecast(self, day: date, now: datetime) -> None:
        forecaster = DayForecaster(
            self.store,
            self.registry,
            self.members,
            self.recipe,
            lambda _: now,
            abstain_beyond_widths=self.plan.abstain_beyond_widths,
            stamp={"dagster_run_id": RUN_ID, "synthetic": self.synthetic},
            contributions=0,
            frames=self._frames,
        )
        try:
            failures = forecaster.forecast_day(day).failures
        except MissingFeatures as error:  # one day never stops the others
            self._fail(day, str(error))
            return
        for name, reason in failures.items():
            self._fail(day, f"{name}: {reason}")

    def decisions(self) -> Decisions:
        """Return the ledger by member, oldest first."""
        return Ledger(self.store).by_member()

    def _fail(self, day: date, reason: str) -> None:
        self.failures.setdefault(reason, day)


def prepare_lives(
    plan: ReplayPlan,
    market: Market,
    recipes: Mapping[str, Recipe],
    provider: MarketDataProvider,
    folder: Path,
    workers: int,
) -> dict[str, PoolLife]:
    """Return a pool for each recipe, whose fits lie in a folder by recipe, source and code."""
    trainings, lives = Trainings(WorkerPool(workers, prepare=warm_up_fits)), {}
    for name, recipe in recipes.items():
        made_of = [recipe.to_settings(), provider.source, code_version(*TRAINING, "features")]
        made_of += sorted(extension_codes().items())
        fits = folder / sha256(json.dumps(made_of, default=str).encode()).hexdigest()[:16]
        lives[name] = PoolLife(plan, market, recipe, fits, trainings, provider.synthetic)
    return lives


def live_together(lives: Sequence[PoolLife]) -> Iterator[date]:
    """Live the days of one plan in several pools side by side, saying each as it ends.

    On a grid the next training begins as soon as one has ended, and goes on while that one is
    decided on and the days until then are lived.
    """
    plan = lives[0].plan
    grid = iter([day for day in plan.days if plan.is_training_day(day)])
    for life in lives:
        life.store.share(SHOWN, lives[0].store)
    for day in plan.days:
        known: dict[Any, Any] = {}
        with threadpool_limits(1):  # on single rows the threads of OpenMP wait for each other
            if day == plan.start:
                _begin_training(lives, grid)
            if plan.is_training_day(day):
                _begin_training(lives, grid)
            for life in lives:
                life.live_day(day, daily_run_of(day), known)
        yield day


def _begin_training(lives: Sequence[PoolLife], grid: Iterator[date]) -> None:
    for day in islice(grid, 1):
        lives[0].trainings.begin([task for life in lives for task in life.tasks_ahead(day)])
