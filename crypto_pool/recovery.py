"""End what killed processes left behind, and nothing that may still live on another host."""

import json
import os
import socket
from typing import NamedTuple

import dagster as dg
import psutil

from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.defs.run_tags import PROCESS_TAG, PROCESS_TAG_OF_1_0
from crypto_pool.settings import Settings

# A process killed between making a run and starting it leaves one that never starts.
BEGUN = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
ENDED = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)
# Where Dagster's own launcher says which code server it started a run in.
CODE_SERVER_TAG = ".dagster/grpc_info"
DAEMON_HOST = "crypto_pool/daemon_host"


class Owner(NamedTuple):
    """The process a run works in, and a time at which it was known to live."""

    host: str
    pid: int
    known_at: float

    def __str__(self) -> str:
        """Give the text of the run's tag."""
        return f"{self.host}:{self.pid}:{self.known_at:.0f}"

    @classmethod
    def parse(cls, tag: str) -> "Owner":
        """Read a tag; one of an older crypto_pool names no host and is of this one."""
        *host, pid, known_at = tag.rsplit(":", 2)
        return cls(host[0] if host else socket.gethostname(), int(pid), float(known_at))

    def is_gone(self) -> bool:
        """Whether it is known to have ended; of another host's process nothing is known here.

        A process begun after the time of the owner only has its number.
        """
        if self.host != socket.gethostname():
            return False
        try:
            return not psutil.Process(self.pid).create_time() < self.known_at + 2
        except psutil.NoSuchProcess:
            return True


def this_process() -> str:
    """This process, as the tag of its runs names it."""
    return str(Owner(socket.gethostname(), os.getpid(), psutil.Process().create_time()))


def record_daemon_host(instance: dg.DagsterInstance) -> None:
    """Put on record that the daemon and the UI, with the runs they launch, work on this host."""
    instance.daemon_cursor_storage.set_cursor_values({DAEMON_HOST: socket.gethostname()})


def recover(instance: dg.DagsterInstance, settings: Settings) -> list[str]:
    """End what a killed process left behind: Dagster runs, pool slots, MLflow runs.

    Gives the runs it ended. Those of another host are left alone, since their processes cannot
    be seen from here.
    """
    ended = []
    for run in instance.get_runs(dg.RunsFilter(statuses=list(BEGUN))):
        owner = _owner_of(instance, run)
        if owner is not None and owner.is_gone():
            instance.report_run_failed(run, f"its process {owner} is gone")
            ended.append(run.run_id)
    for run_id in instance.event_log_storage.get_concurrency_run_ids():
        if not _is_alive(instance, run_id):
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    registry = ModelRegistry(settings.tracking_uri, settings.artifact_root)
    registry.prepare()
    registry.runs.close_orphans(lambda run_id: _is_alive(instance, run_id))
    return ended


def worker_of(instance: dg.DagsterInstance, run_id: str) -> Owner | None:
    """The process a run of this host's UI or daemon said it works in, with the time it said so."""
    events = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records
    for record in reversed(events):
        event = record.event_log_entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event else None
        if pid is not None:
            said_at = record.event_log_entry.timestamp
            return Owner(socket.gethostname(), int(str(pid.value)), said_at)
    return None


def _owner_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Owner | None:
    tag = run.tags.get(PROCESS_TAG, run.tags.get(PROCESS_TAG_OF_1_0))
    if tag is not None:
        return Owner.parse(tag)
    return worker_of(instance, run.run_id) if _launched_here(instance, run) else None


def _launched_here(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run is a process of this host, not a pod and not of another host's daemon.

    Only Dagster's DefaultRunLauncher names a code server, by `localhost` if it is its own.
    """
    server = json.loads(run.tags.get(CODE_SERVER_TAG, "{}"))
    here = socket.gethostname()
    known = instance.daemon_cursor_storage.get_cursor_values({DAEMON_HOST})
    return server.get("host") == "localhost" and known.get(DAEMON_HOST, here) == here


def _is_alive(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status not in ENDED
