"""A pool's life over days that have passed, each forecast as it would have been then.

Bars are pulled once; then, training by training, the clock stands where it stood. What is done is
on record as Dagster runs, so that a life that was stopped goes on.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from time import monotonic

import dagster as dg

from crypto_pool.building import BuildReport, Work, partitions_of, run_layer
from crypto_pool.defs.run_tags import ASKED_BY_TAG
from crypto_pool.defs.stages import FEATURES, OUTCOMES, PREDICTIONS, PUBLICATION, TRAINING
from crypto_pool.settings import Settings, load_settings

LIVE = "live"
COINS_TAG = "crypto_pool/coins"
REVIEW_EVERY_DAYS = 10
TRAINED_AFTER = timedelta(minutes=20)  # when the bars of the daily run are there
CLOCK = "CRYPTO_POOL_SIMULATED_NOW"


@dataclass(frozen=True)
class Life:
    """The bar dates that are lived through, and the days from one training to the next."""

    first: date
    last: date
    retrain_every_days: int

    def trainings(self) -> list[date]:
        """Bar dates on which every member is trained."""
        span = (self.last - self.first).days + 1
        return [self.first + timedelta(days=n) for n in range(0, span, self.retrain_every_days)]

    def stretches(self) -> Iterator[tuple[date, list[date]]]:
        """Give each training, and in turn the days that are forecast, scored and reviewed at once.

        The first stretch after a training begins with the day itself.
        """
        trainings = self.trainings()
        ends = [*(day - timedelta(days=1) for day in trainings[1:]), self.last]
        for training, end in zip(trainings, ends, strict=True):
            day = training
            while day <= end:
                until = min(end, day + timedelta(days=REVIEW_EVERY_DAYS - 1))
                yield training, [day + timedelta(days=n) for n in range((until - day).days + 1)]
                day = until + timedelta(days=1)


def live(
    instance: dg.DagsterInstance, settings: Settings, life: Life, say: Callable[[str], None]
) -> BuildReport:
    """Live through the days, and publish; what an earlier call has done is not done again."""
    report = BuildReport()
    say("bars and features ...")
    coins = partitions_of(FEATURES, settings, life.last)
    run_layer(instance, Work(FEATURES, life.last, coins, coins), report)
    stretches = list(life.stretches())
    for number, (training, days) in enumerate(stretches, 1):
        if days[0] == training:
            trained_at = settings.daily_run_of(training) + TRAINED_AFTER
            members = partitions_of(TRAINING, settings, training)
            work = Work(TRAINING, training, members, members)
            _do(instance, work, trained_at, report, say, f"trained as of {training}")
        told = f"{number}/{len(stretches)} {days[0]} to {days[-1]}"
        keys = [day.isoformat() for day in days]
        work = Work(PREDICTIONS, days[-1], keys, assets=["daily_predictions"], as_then=True)
        _do(instance, work, settings.daily_run_of(days[-1]), report, say, f"forecast {told}")
        matured = partitions_of(OUTCOMES, settings, days[-1])
        if matured:
            reviewed = (*OUTCOMES.assets, *OUTCOMES.ending)
            work = Work(OUTCOMES, days[-1], matured, only=matured, assets=reviewed)
            _do(instance, work, settings.daily_run_of(days[-1]), report, say, f"scored {told}")
    run_layer(instance, Work(PUBLICATION, life.last), report)
    report.close(settings.symbols)
    return report


def _do(
    instance: dg.DagsterInstance,
    work: Work,
    at: datetime,
    report: BuildReport,
    say: Callable[[str], None],
    told: str,
) -> None:
    """Do the work at its time, unless a run that succeeded did it before."""
    coins = ",".join(load_settings().symbols)
    work = replace(work, tags={ASKED_BY_TAG: LIVE, COINS_TAG: coins})
    done = dg.RunsFilter(
        job_name=work.stage.job, tags=work.all_tags, statuses=[dg.DagsterRunStatus.SUCCESS]
    )
    if instance.get_runs_count(done):
        return
    begun = monotonic()
    with _clock_at(at):
        is_whole = run_layer(instance, work, report)
    say(f"{told}: {monotonic() - begun:.1f} s{'' if is_whole else ', with failures'}")


@contextmanager
def _clock_at(moment: datetime) -> Iterator[None]:
    """Let the settings of this process stand at a moment, and not after the true time."""
    before = os.environ.get(CLOCK)
    os.environ[CLOCK] = min(moment, load_settings().now()).isoformat()
    load_settings.cache_clear()
    try:
        yield
    finally:
        if before is None:
            del os.environ[CLOCK]
        else:
            os.environ[CLOCK] = before
        load_settings.cache_clear()
