"""Services kept running: one that dies is started again, and all end together."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic, sleep

from crypto_pool.commands.printing import console

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 20
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
STEADY_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.1
LAST_WORDS = 3000
# Begun with the groups of the moment, it reads them anew, in each line, from a pipe that only the
# supervisor holds open: its end means that the supervisor is gone, however it went.
GUARD = """
import os, signal, sys
groups = sys.argv[1]
for groups in sys.stdin:
    pass
for group in groups.split():
    try:
        os.killpg(int(group), signal.SIGKILL)
    except ProcessLookupError:
        continue
"""


@dataclass(frozen=True)
class Service:
    """A command that is to run for as long as the supervisor does.

    It is first started once `can_start` is true, or another service has ended.
    """

    name: str
    command: tuple[str, ...]
    can_start: Callable[[], bool] = lambda: True

    def start(self, logs: Path | None) -> "subprocess.Popen[bytes]":
        """Start the process, the leader of a group of its own; `logs` takes what it says."""
        if logs is None:
            return subprocess.Popen(self.command, start_new_session=True)
        with self.log_in(logs).open("ab") as log:
            return subprocess.Popen(self.command, start_new_session=True, stdout=log, stderr=log)

    def log_in(self, folder: Path) -> Path:
        """Return the service's log file."""
        return folder / f"{self.name.removeprefix('the ').replace(' ', '_')}.log"


@dataclass
class Running:
    """A service's process, the leader of a group of its own, and how it fared before."""

    service: Service
    process: "subprocess.Popen[bytes]"
    begun_at: float
    quick_ends: int = 0
    has_been_steady: bool = False
    logs: Path | None = None

    @classmethod
    def begin(cls, service: Service, logs: Path | None = None) -> "Running":
        """Start the service, with a new log file; the last one is kept beside it."""
        if logs is not None and service.log_in(logs).exists():
            service.log_in(logs).replace(service.log_in(logs).with_suffix(".log.1"))
        return cls(service, service.start(logs), monotonic(), logs=logs)

    def begin_again(self) -> None:
        """Start the service once more."""
        self.process = self.service.start(self.logs)
        self.begun_at = monotonic()

    def note_end(self) -> None:
        """Count an end soon after the beginning, and kill what the service left of its workers."""
        was_steady = monotonic() - self.begun_at >= STEADY_SECONDS
        self.has_been_steady = self.has_been_steady or was_steady
        self.quick_ends = 0 if was_steady else self.quick_ends + 1
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    @property
    def last_words(self) -> str:
        """The end of its log, for who sees it fail."""
        if self.logs is None:
            return ""
        return (
            "\n" + self.service.log_in(self.logs).read_text("utf-8", errors="replace")[-LAST_WORDS:]
        )

    @property
    def pause_seconds(self) -> float:
        """How long to wait before it is started again: longer after each quick end."""
        return float(min(FIRST_PAUSE_SECONDS * 2**self.quick_ends, LONGEST_PAUSE_SECONDS))


def supervise(
    services: Sequence[Service],
    mend: Callable[[Service, str], None],
    ending: Event | None = None,
    logs: Path | None = None,
) -> int:
    """Keep services running until a signal comes; set `ending`, stop all, return the exit code.

    One that ends is started again after a pause, and after `mend` has been given the service and
    how it ended. One that ends by itself without ever having run for a minute cannot run here:
    then all are stopped, with exit code 1. They end with this process even when it is killed
    without notice. What they say goes to files in `logs`.
    """
    # Also when started in the background of a script, where the shell has SIGINT ignored.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    running: list[Running] = []
    guard = _begin_guard(running)
    try:
        for service in services:
            while not (service.can_start() or _has_any_ended()):
                sleep(LOOK_AGAIN_SECONDS)
            running.append(Running.begin(service, logs))
            _tell_guard(guard, running)
        while True:
            pid, status = os.wait()
            if pid == guard.pid:
                guard = _begin_guard(running)
                continue
            ended = next((one for one in running if one.process.pid == pid), None)
            if ended is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
            ended.note_end()
            if code >= 0 and not ended.has_been_steady:
                console.print(
                    f"{ended.service.name} {how} and cannot run; stopping the others."
                    f"{ended.last_words}",
                )
                return 1
            pause = ended.pause_seconds
            console.print(f"{ended.service.name} {how}; it is started again in {pause:g} s.")
            mend(ended.service, how)
            sleep(pause)
            ended.begin_again()
            _tell_guard(guard, running)
    except KeyboardInterrupt:
        return 0
    finally:
        for number in STOP_SIGNALS:  # a second Ctrl-C must not leave half of them running
            signal.signal(number, signal.SIG_IGN)
        if ending is not None:
            ending.set()
        _stop(running)
        guard.kill()
        guard.communicate()


def _has_any_ended() -> bool:
    """Whether `os.wait` would return at once."""
    return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _begin_guard(running: Sequence[Running]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", GUARD, _groups(running)],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _tell_guard(guard: "subprocess.Popen[str]", running: Sequence[Running]) -> None:
    assert guard.stdin is not None
    with suppress(BrokenPipeError):  # it has just died; its end is waited for, and mended, next
        guard.stdin.write(_groups(running) + "\n")
        guard.stdin.flush()


def _groups(running: Sequence[Running]) -> str:
    return " ".join(str(one.process.pid) for one in running)


def _stop(running: Sequence[Running]) -> None:
    processes = [one.process for one in running]
    for process in processes:
        if process.poll() is None:
            process.terminate()  # SIGINT would end one that still imports with a trace
    deadline = monotonic() + GRACE_SECONDS
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, deadline - monotonic()))
        # Each service leads a process group: what it left of its own workers goes with it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
