"""A pool's life over days that have passed, each forecast as it would have been then.

Bars are pulled once; then the clock stands at each day's run. What is done is on record as Dagster
runs, so that a life that was stopped goes on.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from time import monotonic

import dagster as dg

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.building import BuildReport, Work, partitions_of, run_layer
from crypto_pool.defs.run_tags import ASKED_BY_TAG
from crypto_pool.defs.stages import FEATURES, OUTCOMES, PANEL, PREDICTIONS, PUBLICATION, TRAINING
from crypto_pool.domain.members import Member
from crypto_pool.domain.staleness import members_due
from crypto_pool.replay.plan import Life
from crypto_pool.settings import Settings, load_settings, overridden
from crypto_pool.workflow.monitoring import observe_members
from crypto_pool.workflow.pulling import bars_until

LIVE = "live"
COINS_TAG = "crypto_pool/coins"
GRID_DAYS_TOGETHER = 10
TRAINED_AFTER = timedelta(minutes=20)  # when the bars of the daily run are there


def stretches(life: Life) -> Iterator[list[date]]:
    """Give the days in turn, those that are scored and reviewed, trained and forecast at once.

    Each alone, as the pool lives; on a grid of trainings up to ten, which saves most of the runs.
    """
    longest = 1 if life.retrain_every_days is None else GRID_DAYS_TOGETHER
    together: list[date] = []
    for day in life.days:
        if len(together) == longest or (together and life.is_training_day(day)):
            yield together
            together = []
        together.append(day)
    yield together


def live(
    instance: dg.DagsterInstance, settings: Settings, life: Life, say: Callable[[str], None]
) -> BuildReport:
    """Live through the days, and publish; what an earlier call has done is not done again."""
    say("bars and features ...")
    lived = _Lived(instance, settings, say)
    coins = partitions_of(FEATURES, settings, life.end)
    if coins:
        run_layer(instance, Work(FEATURES, life.end, coins, coins), lived.report)
    for days in stretches(life):
        label = f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
        keys = [day.isoformat() for day in days]
        forecasts = Work(PREDICTIONS, days[-1], keys, assets=["daily_predictions"], as_then=True)
        if lived.is_done(forecasts):
            continue
        lived.review(days[0])
        lived.train(days[0], life)
        lived.do(forecasts, settings.daily_run_of(days[-1]), f"forecast {label}")
    lived.review(life.end)
    for stage in (PUBLICATION, PANEL):
        run_layer(instance, Work(stage, life.end), lived.report)
    lived.report.close(settings.symbols)
    return lived.report


@dataclass(frozen=True)
class _Lived:
    """What a life has done, and does."""

    instance: dg.DagsterInstance
    settings: Settings
    say: Callable[[str], None]
    report: BuildReport = field(default_factory=BuildReport)

    def review(self, day: date) -> None:
        """Score what has matured by a day, and hold the champions to it."""
        matured = partitions_of(OUTCOMES, self.settings, day)
        if matured:
            reviewed = (*OUTCOMES.assets, *OUTCOMES.ending)
            work = Work(OUTCOMES, day, matured, only=matured, assets=reviewed)
            self.do(work, self.settings.daily_run_of(day), f"scored as of {day}")

    def train(self, day: date, life: Life) -> None:
        """Train whom the life's grid or, without one, the rules of staleness name."""
        members = partitions_of(TRAINING, self.settings, day)
        at = self.settings.daily_run_of(day) + TRAINED_AFTER
        if life.retrain_every_days is None:
            due = self._stale(list(map(Member.parse, members)), day, at)
        else:
            due = members if life.is_training_day(day) else []
        if due:
            label = f"trained {len(due)} of {len(members)} members as of {day}"
            self.do(Work(TRAINING, day, members, only=due), at, label)

    def _stale(self, members: list[Member], day: date, at: datetime) -> list[str]:
        settings, store = self.settings, FrameStore(self.settings.frames_root)
        registry = ModelRegistry(settings.tracking_uri, settings.artifact_root).prepare()
        needed = settings.min_history_bars
        ready = [member for member in members if bars_until(store, member.symbol, day) >= needed]
        states, faults = observe_members(
            store, registry, ready, settings.recipe, settings.review_window_days, day, at
        )
        for name, fault in faults.items():
            self.say(f"{name} {fault}")
        return [one.partition_key for one in members_due(states, day, settings.retrain_rules)]

    def do(self, work: Work, at: datetime, label: str) -> None:
        """Do the work at its time, unless a run that succeeded did it before."""
        if self.is_done(work):
            return
        begun = monotonic()
        with _clock_at(at):
            is_whole = run_layer(self.instance, self._own(work), self.report)
        self.say(f"{label}: {monotonic() - begun:.1f} s{'' if is_whole else ', with failures'}")

    def is_done(self, work: Work) -> bool:
        """Whether a run that succeeded has done the work."""
        done = dg.RunsFilter(
            job_name=work.stage.job,
            tags=self._own(work).all_tags,
            statuses=[dg.DagsterRunStatus.SUCCESS],
        )
        return self.instance.get_runs_count(done) > 0

    def _own(self, work: Work) -> Work:
        coins = ",".join(self.settings.symbols)
        return replace(work, tags={ASKED_BY_TAG: LIVE, COINS_TAG: coins})


def _clock_at(moment: datetime) -> AbstractContextManager[None]:
    """Let the settings of this process stand at a moment, and not after the true time."""
    return overridden(simulated_now=min(moment, load_settings().now()).isoformat())
