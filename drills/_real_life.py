"""A pool that lives in the services of `crypto-pool up`.

Schedule and sensors are evaluated in its code location, through the web server; what they ask for
goes into its queue, and its daemon launches it through the launcher of `dagster.yaml`.
"""

from collections.abc import Mapping, Sequence
from random import Random
from time import sleep
from typing import Any

import dagster as dg
import psutil
import yaml

from drills._life import Life, job_of, selection_of, started_runs
from drills._services import Services, is_settled, kill

DAEMON, WORKER = "daemon", "worker"
DAEMON_MODULE = "dagster._daemon"
SEED = 20
LATEST_KILL_SECONDS = 2.0
SCHEDULES = ("daily_features", "daily_outcomes", "daily_pool")


class RealLife(Life):
    """Has the runs executed by the services, and kills the services' processes."""

    def __init__(self, instance: dg.DagsterInstance, market: Any, services: Services) -> None:
        super().__init__(instance, market)
        self.services = services
        self.random = Random(SEED)

    def evaluate(self, name: str) -> list[dg.RunRequest]:
        """Evaluate in the code location of the running web server."""
        if name in SCHEDULES:
            found = self.services.tick_schedule(name, self.moment.timestamp())
        else:
            found = self.services.tick_sensor(name, self.cursor)
            self.cursor = found["cursor"] or self.cursor
        return requested(found)

    def execute(self, requests: Sequence[dg.RunRequest], victim: str = "") -> None:
        """Queue the runs and wait for their end, and for that of those made again."""
        ids = [
            self.services.submit(job_of(request), selection_of(request), request)
            for request in requests
        ]
        if victim and ids:
            self.services.wait_until(
                lambda: ids[-1] in started_runs(self.instance), f"the beginning of run {ids[-1]}"
            )
            sleep(self.random.uniform(0, LATEST_KILL_SECONDS))
            self.killed[victim] += self._kill(victim, ids[-1])
        self.services.wait_until(lambda: is_settled(self.instance), f"the end of {ids}")

    def _kill(self, victim: str, run_id: str) -> int:
        """Kill the daemon, or the worker of a run unless it was quicker; give how many died."""
        from crypto_pool.recovery import worker_of

        if victim == WORKER:
            worker = worker_of(self.instance, run_id)
            if worker is None or run_id not in started_runs(self.instance):
                return 0
            kill(worker.pid)
            return 1
        daemon = self.services.process(DAEMON_MODULE)
        assert daemon is not None
        kill(daemon.pid)
        self.services.wait_until(
            lambda: self._has_new_daemon(daemon), "a new daemon in place of the killed one"
        )
        return 1

    def _has_new_daemon(self, old: psutil.Process) -> bool:
        new = self.services.process(DAEMON_MODULE)
        return new is not None and new.pid != old.pid


def requested(found: Mapping[str, Any]) -> list[dg.RunRequest]:
    """The run requests of an evaluated schedule or sensor, as the web server gives it."""
    return [
        dg.RunRequest(
            run_key=request["runKey"],
            run_config=yaml.load(request["runConfigYaml"], yaml.BaseLoader),
            tags={tag["key"]: tag["value"] for tag in request["tags"]},
            asset_selection=[dg.AssetKey(key["path"]) for key in request["assetSelection"]]
            if request["assetSelection"]
            else None,
        )
        for request in found["runRequests"] or []
    ]
