"""A pool that lives by its schedule and sensors: what both ways of executing its runs share.

The clock is simulated, and so is the evaluation of schedule and sensors at its times; what they
ask for is executed in this process, or by the services of `crypto-pool up` (`drills._real_life`).
"""

import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import dagster as dg

from drills._pool import environment_of

FIRST_DAY = date(2023, 5, 1)
ALGORITHMS = ("RidgeClassifier", "LightGBM", "RandomForest")
SETTINGS = {
    "SYMBOLS": "BTC,ETH",
    "TRAINING_ROWS": "400",
    "EXPLAINED_ROWS": "10",
    "WORKERS": "1",
    "SANDBOX_PREDICTABILITY": "0.5",
    "RETRAIN_AFTER_DAYS": "15",
    "FIRST_PREDICTION_DATE": FIRST_DAY.isoformat(),
}
CLOCK = "clock"


def set_clock(home: Path, moment: datetime) -> None:
    """Set the clock that all processes of a pool below `home` follow."""
    beside = home / f"{CLOCK}.new"
    beside.write_text(moment.isoformat())
    beside.replace(home / CLOCK)


def environment(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of all processes of a life below `home`."""
    clock = {"SIMULATED_NOW_FILE": str(home / CLOCK)}
    return environment_of(home, {**SETTINGS, **settings, **clock})


class Life(ABC):
    """One pool, the server it pulls from, and the clock both go by."""

    def __init__(self, instance: dg.DagsterInstance, market: Any) -> None:
        self.instance = instance
        self.market = market
        self.cursor: str | None = None
        self.run_keys: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()
        self.moment = datetime.combine(FIRST_DAY, time(), UTC)

    def go_to(self, moment: datetime) -> None:
        """Set the clock of the pool and of the server."""
        self.moment = moment
        self.market.now = lambda: moment
        set_clock(Path(os.environ["DAGSTER_HOME"]), moment)

    def tick(self, name: str) -> list[dg.RunRequest]:
        """What the schedule or a sensor asks for, by priority, without what it asked before."""
        asked = self.evaluate(name)
        new = [one for one in asked if one.run_key not in self.run_keys]
        self.run_keys |= {str(one.run_key) for one in new}
        self.asked.update(_kind(one) for one in new)
        return sorted(new, key=lambda one: -int(one.tags["dagster/priority"]))

    @abstractmethod
    def evaluate(self, name: str) -> list[dg.RunRequest]:
        """Evaluate the schedule or a sensor at the simulated time."""

    @abstractmethod
    def execute(self, requests: Sequence[dg.RunRequest], victim: str = "") -> None:
        """Have runs executed to their end; kill the victim while the last of them runs."""


def _kind(request: dg.RunRequest) -> str:
    key = str(request.run_key)
    return "training" if key.startswith("retrain_stale") else key.rsplit(":", 1)[-1]


def job_of(request: dg.RunRequest) -> str:
    """The job of a request; one that was read from the web server has no name of it."""
    from crypto_pool.defs.stages import PREDICTIONS, PUBLICATION, STAGES

    jobs = {stage.key: stage.job for stage in STAGES} | {PUBLICATION.key: PREDICTIONS.job}
    return jobs[_kind(request)]


def selection_of(request: dg.RunRequest) -> list[dg.AssetKey]:
    """The assets of a request; training has fewer algorithms than its job, for time's sake."""
    from crypto_pool.defs.assets.models import candidate_key, champion

    if request.asset_selection:
        return list(request.asset_selection)
    return [*(candidate_key(name) for name in ALGORITHMS), champion.key]


class InProcessLife(Life):
    """Executes the runs in this process, and starts a worker only to kill it."""

    def evaluate(self, name: str) -> list[dg.RunRequest]:
        """Evaluate in this process."""
        from crypto_pool.definitions import defs
        from crypto_pool.defs.resources import PoolResource

        repository = defs.get_repository_def()
        resources = {"pool": PoolResource(bar_date="", only=[])}
        if repository.has_schedule_def(name):
            at = dg.build_schedule_context(
                self.instance, scheduled_execution_time=self.moment, resources=resources
            )
            return list(repository.get_schedule_def(name).evaluate_tick(at).run_requests or [])
        context = dg.build_sensor_context(self.instance, cursor=self.cursor, resources=resources)
        found = repository.get_sensor_def(name).evaluate_tick(context)
        self.cursor = found.cursor if found.cursor is not None else self.cursor
        return list(found.run_requests or [])

    def execute(self, requests: Sequence[dg.RunRequest], victim: str = "") -> None:
        """Execute one after the other; the victim is the worker of the last."""
        from crypto_pool.recovery import recover
        from crypto_pool.settings import load_settings

        unhurt = requests[:-1] if victim else requests
        for request in unhurt:
            execute(self.instance, request)
        if victim:
            self.killed[victim] += _kill_worker(self.instance, requests[-1])
            recover(self.instance, load_settings())


def execute(instance: dg.DagsterInstance, request: dg.RunRequest) -> None:
    """Execute one run request in this process; a failed run is the pool's to bear."""
    from crypto_pool.definitions import defs
    from crypto_pool.defs.run_tags import PROCESS_TAG
    from crypto_pool.recovery import this_process

    defs.get_repository_def().get_job(job_of(request)).execute_in_process(
        instance=instance,
        run_config={
            **request.run_config,
            "loggers": {"console": {"config": {"log_level": "ERROR"}}},
        },
        tags={**request.tags, PROCESS_TAG: this_process(instance)},
        asset_selection=selection_of(request),
        raise_on_error=False,
    )


def _kill_worker(instance: dg.DagsterInstance, request: dg.RunRequest) -> int:
    """Start a worker for a run and kill it once the run has begun."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "drills.forty_days", "work", dg.serialize_value(request)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    for line in worker.stdout:
        if line.startswith("working"):
            break
    before = set(started_runs(instance))
    while not set(started_runs(instance)) - before and worker.poll() is None:
        pass
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    return int(worker.returncode == -signal.SIGKILL)


def started_runs(instance: dg.DagsterInstance) -> list[str]:
    """The runs that work."""
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    return [run.run_id for run in instance.get_runs(filters)]
