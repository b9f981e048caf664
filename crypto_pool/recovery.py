"""End what killed processes left behind, and nothing that may still live on another host."""

import json
import os
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any, NamedTuple

import dagster as dg
import psutil
from dagster._core.storage.dagster_run import ACTIVE_RUN_STATUSES, FINISHED_STATUSES
from filelock import FileLock

from crypto_pool.adapters.held_files import hold, is_held
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.defs.run_tags import PROCESS_TAG, PROCESS_TAG_OF_1_0
from crypto_pool.settings import Settings

# A process killed between making a run and starting it leaves one that never starts.
BEGUN = [dg.DagsterRunStatus.NOT_STARTED, *ACTIVE_RUN_STATUSES]
# Where Dagster's own launcher says which code server it started a run in.
CODE_SERVER_TAG = ".dagster/grpc_info"
DAEMON_HOST = "crypto_pool/daemon_host"
SOCKET_NAME = "code_server.sock"
LOOK_AGAIN_SECONDS = 1.0
LEFT_BY_DEV = (
    "a `dagster dev` or `dg dev` of {home} was killed and left processes behind, whose daemon "
    "fails the runs that are queued: end them with `kill {pids}`"
)
_HELD: dict[Path, FileLock | None] = {}


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

    def file_in(self, home: Path) -> Path:
        """Return the file that the process holds while it lives."""
        return home / "processes" / f"{self}.lock"

    def is_gone(self, home: Path | None = None) -> bool:
        """Whether it is known to have ended, by the file it held in the home or by its number.

        Of another host's process without such a file nothing is known here, and a process begun
        after the time of the owner only has its number.
        """
        if home is not None and self.file_in(home).exists():
            return not is_held(self.file_in(home))
        if self.host != socket.gethostname():
            return False
        try:
            return not psutil.Process(self.pid).create_time() < self.known_at + 2
        except psutil.NoSuchProcess:
            return True


def this_process(instance: dg.DagsterInstance | None = None) -> str:
    """This process, as the tag of its runs names it; it holds its file in the instance's home."""
    owner = Owner(socket.gethostname(), os.getpid(), psutil.Process().create_time())
    if instance is not None:
        path = owner.file_in(Path(instance.root_directory))
        if path not in _HELD:
            _HELD[path] = hold(path)
    return str(owner)


def record_daemon_host(instance: dg.DagsterInstance) -> None:
    """Put on record that the daemon and the UI, with the runs they launch, work on this host."""
    instance.daemon_cursor_storage.set_cursor_values({DAEMON_HOST: socket.gethostname()})


def recover(instance: dg.DagsterInstance, settings: Settings, *, is_up: bool = False) -> list[str]:
    """End what a killed process left behind: Dagster runs, pool slots, MLflow runs.

    Gives the runs it ended; `is_up` if the caller is the home's `up`, so that none before it is.
    Those of another host are left alone unless their processes are seen to be gone.
    """
    ended = end_lost_runs(instance, is_up=is_up)
    registry = ModelRegistry(settings.tracking_uri, settings.artifact_root).prepare()
    registry.upkeep.close_orphans(lambda run_id: _is_alive(instance, run_id))
    return ended


def end_lost_runs(instance: dg.DagsterInstance, *, is_up: bool = False) -> list[str]:
    """End the Dagster runs of processes that are gone, and give every pool the slots it lacks."""
    home, ended = Path(instance.root_directory), []
    for run in instance.get_runs(dg.RunsFilter(statuses=BEGUN)):
        reason = _why_lost(instance, run, home, is_up=is_up)
        if reason:
            instance.report_run_failed(run, reason)
            ended.append(run.run_id)
    for path in (home / "processes").glob("*.lock"):
        if path not in _HELD and not is_held(path):
            path.unlink(missing_ok=True)
    storage = instance.event_log_storage
    for run_id in storage.get_concurrency_run_ids():
        if not _is_alive(instance, run_id):
            storage.free_concurrency_slots_for_run(run_id)
    for pool in storage.get_concurrency_keys():
        slots = storage.get_concurrency_info(pool)
        if slots.limit is not None and slots.slot_count < slots.limit:  # as after a wipe
            if slots.using_default_limit:
                storage.initialize_concurrency_limit_to_default(pool)
            else:
                storage.set_concurrency_slots(pool, slots.limit)
    return ended


def left_by_dev(home: Path) -> str:
    """Say which processes a `dagster dev` or `dg dev` of a home left when it was killed, if any.

    Its daemon goes on without a code server, and fails the runs that are queued. What it begins is
    of its process group, and of all that begin one, it alone gives `--shutdown-pipe`.
    """
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):  # of other users, or gone meanwhile
            if (
                "--shutdown-pipe" in process.cmdline()
                and Path(process.environ().get("DAGSTER_HOME", "")).resolve() == home.resolve()
                and os.getpgid(process.ppid()) != os.getpgid(process.pid)
            ):
                left.append(str(process.pid))
    return LEFT_BY_DEV.format(home=home, pids=" ".join(left)) if left else ""


def await_slots(
    instance: dg.DagsterInstance,
    pools: Collection[str],
    say: Callable[[str], None],
    wait: Callable[[float], None] = sleep,
) -> None:
    """Wait until each pool has a free slot; say who holds them. Ctrl-C ends it.

    A step of Dagster waits without a word, and hears no signal.
    """
    shown = ""
    while text := taken_slots(instance, pools):
        if text != shown:
            say(f"waiting for slots that are held: {text}; Ctrl-C ends this")
        shown = text
        wait(LOOK_AGAIN_SECONDS)


def taken_slots(instance: dg.DagsterInstance, pools: Collection[str]) -> str:
    """Free the slots of what is gone; say who holds those of the pools that have none left."""
    end_lost_runs(instance)
    storage = instance.event_log_storage
    infos = [
        storage.get_concurrency_info(pool)
        for pool in sorted(storage.get_concurrency_keys() & set(pools))
    ]
    return ", ".join(
        f"{info.concurrency_key} by {_holder(instance, run_id)}"
        for info in infos
        if info.active_slot_count >= info.slot_count > 0
        for run_id in sorted(info.active_run_ids)
    )


def pools_waited_for(instance: dg.DagsterInstance) -> set[str]:
    """Return the pools for a slot of which some step waits."""
    storage = instance.event_log_storage
    keys = storage.get_concurrency_keys()
    return {key for key in keys if storage.get_concurrency_info(key).pending_step_count}


def _holder(instance: dg.DagsterInstance, run_id: str) -> str:
    run = instance.get_run_by_id(run_id)
    owner = None if run is None else _owner_of(instance, run)
    return f"run {run_id}" + ("" if owner is None else f" of process {owner.pid} on {owner.host}")


def worker_of(instance: dg.DagsterInstance, run_id: str) -> Owner | None:
    """The process a run of this host's UI or daemon said it works in, with the time it said so."""
    events = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records
    for record in reversed(events):
        event = record.event_log_entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event else None
        if pid is not None:
            reported_at = record.event_log_entry.timestamp
            return Owner(socket.gethostname(), int(str(pid.value)), reported_at)
    return None


def _why_lost(instance: dg.DagsterInstance, run: dg.DagsterRun, home: Path, *, is_up: bool) -> str:
    """Say why nobody works on a run any more; nothing if somebody may."""
    owner = _owner_of(instance, run)
    if owner is not None and owner.is_gone(home):
        return f"its process {owner} is gone"
    socket_path = str(_code_server(run).get("socket", ""))
    of_up = socket_path.endswith(f"/{SOCKET_NAME}")
    if of_up and (is_up or not is_held(up_lock(home))):
        return "the `crypto-pool up` that ran it is gone"
    return ""


def runs_in(instance: dg.DagsterInstance, socket_path: Path) -> list[dg.DagsterRun]:
    """Return the runs that have begun in the code server of a socket; what others run is not."""
    begun = instance.get_runs(dg.RunsFilter(statuses=ACTIVE_RUN_STATUSES))
    return [run for run in begun if _code_server(run).get("socket") == str(socket_path)]


def up_lock(home: Path) -> Path:
    """Return the file that the `up` of a home holds."""
    return home / "up" / "up.lock"


def _code_server(run: dg.DagsterRun) -> dict[str, Any]:
    server: dict[str, Any] = json.loads(run.tags.get(CODE_SERVER_TAG, "{}"))
    return server


def _owner_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Owner | None:
    tag = run.tags.get(PROCESS_TAG, run.tags.get(PROCESS_TAG_OF_1_0))
    if tag is not None:
        return Owner.parse(tag)
    return worker_of(instance, run.run_id) if _launched_here(instance, run) else None


def _launched_here(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run is a process of this host, not a pod and not of another host's daemon.

    Only Dagster's DefaultRunLauncher names a code server, by `localhost` if it is its own.
    """
    server = _code_server(run)
    here = socket.gethostname()
    known = instance.daemon_cursor_storage.get_cursor_values({DAEMON_HOST})
    return server.get("host") == "localhost" and known.get(DAEMON_HOST, here) == here


def _is_alive(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status not in FINISHED_STATUSES
