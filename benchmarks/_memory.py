"""The memory of running processes. It is the proportional set size: a shared page counts once."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from time import perf_counter
from typing import Any

import psutil

SAMPLE_SECONDS = 0.5


def watch(
    process: "Popen[Any]", ended: Callable[[], bool] = lambda: False, limit: float = 86_400
) -> tuple[float, dict[int, float]]:
    """Wait until a process ends, or until `ended`, and look at its memory meanwhile.

    Gives the seconds, and the peak in MiB of the process with all below it, by process id: the
    process's own and that of each of its children.

    Raises:
        TimeoutError: it took longer than `limit` seconds.
    """
    started = perf_counter()
    peaks: dict[int, float] = {}
    while process.poll() is None and not ended():
        if perf_counter() - started > limit:
            raise TimeoutError(f"still waiting after {limit:.0f} s")
        with suppress(TimeoutExpired):
            process.wait(timeout=SAMPLE_SECONDS)
        for root in (process.pid, *_children(process.pid)):
            peaks[root] = max(peaks.get(root, 0.0), proportional_bytes(root) / 2**20)
    return perf_counter() - started, peaks


def proportional_bytes(root: int) -> int:
    """Sum the memory of a process and all below it, as far as they still live."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        above = psutil.Process(root)
        for process in [above, *above.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
    return total


def peak_of(command: list[str], home: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    """Run a command to its end; give its seconds and its peak in MiB.

    Raises:
        SystemExit: it failed; its last words are in the message.
    """
    with (home / "command.log").open("w+") as log:
        process = Popen(command, cwd=home, env=dict(environment), stdout=log, stderr=log)
        seconds, peaks = watch(process)
        if process.returncode != 0:
            log.seek(0)
            said = log.read()[-2000:]
            raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}\n{said}")
    return seconds, peaks.get(process.pid, 0.0)


def _children(root: int) -> list[int]:
    with suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(root).children()]
    return []
