"""The worker pool: every result once, one thread each, errors passed on."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import psutil
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.errors import InvalidSetting, UnscoredCandidate, WorkersUnavailable
from crypto_pool_tests.conftest import PATIENCE_SECONDS


def square(number: int) -> tuple[int, int, int]:
    return number, number**2, os.getpid()


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def count_threads(_: int) -> int:
    np.ones((2, 2)) @ np.ones((2, 2))
    return max((pool["num_threads"] for pool in threadpool_info()), default=1)


PREPARED = []


def prepare() -> None:
    PREPARED.append(os.getpid())


def prepare_beside() -> None:
    prepare()


def prepare_waited_for() -> None:
    prepare()


def read_prepared(_: int) -> tuple[int, list[int]]:
    return os.getpid(), list(PREPARED)


def refuse(number: int) -> int:
    if number == 1:
        raise UnscoredCandidate("BTC|uptrend: one class only")
    return number


def results_of(pool: WorkerPool, function: Callable, tasks: Iterable) -> list:
    return [result for _, result in pool.map_unordered(function, tasks)]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_every_task_gives_its_result_once(n_jobs: int) -> None:
    """One job stays in this process, more leave it."""
    results = list(WorkerPool(n_jobs).map_unordered(square, range(7)))
    assert sorted((task, *result[:2]) for task, result in results) == [
        (n, n, n**2) for n in range(7)
    ]
    assert ({result[2] for _, result in results} == {os.getpid()}) == (n_jobs == 1)
    assert list(WorkerPool(n_jobs).map_unordered(square, [])) == []


def test_results_come_as_they_finish() -> None:
    """A slow task holds up no quick one."""
    list(WorkerPool(2).map_unordered(wait, [0.0, 0.0]))
    assert results_of(WorkerPool(2), wait, [1.0, 0.01, 0.02]) == [0.01, 0.02, 1.0]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_each_worker_has_one_thread(n_jobs: int) -> None:
    """Parallelism is between the members; the caller keeps its own threads."""
    with threadpool_limits(2):
        assert count_threads(0) == 2
        for _, threads in WorkerPool(n_jobs).map_unordered(count_threads, range(4)):
            assert threads == 1
            assert count_threads(0) == 2


def test_each_worker_is_prepared_once_before_its_tasks() -> None:
    """With one job there is no worker to prepare."""
    for _ in range(2):
        answers = results_of(WorkerPool(2, prepare), read_prepared, range(4))
        assert all(prepared == [worker] for worker, prepared in answers)
        assert os.getpid() not in {worker for worker, _ in answers}
    assert results_of(WorkerPool(1, prepare), read_prepared, [0]) == [(os.getpid(), [])]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_error_of_a_task_reaches_the_caller(n_jobs: int) -> None:
    """With its type and message, and the pool works afterwards."""
    with pytest.raises(UnscoredCandidate, match="one class only"):
        list(WorkerPool(n_jobs).map_unordered(refuse, range(3)))
    assert sorted(results_of(WorkerPool(n_jobs), refuse, [2, 3])) == [2, 3]


def test_pool_without_workers_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="n_jobs is 0"):
        WorkerPool(0)


def test_workers_end_when_their_parent_is_killed_before_anybody_asks_how_it_ended(tmp_path):
    code = (
        "import sys, os, time\n"
        "from crypto_pool.adapters.worker_pool import WorkerPool\n"
        "from crypto_pool_tests.adapters.test_worker_pool import report_and_sleep\n"
        "list(WorkerPool(2).map_unordered(report_and_sleep, [sys.argv[1]] * 2))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    workers = [psutil.Process(int(path.name)) for path in tmp_path.iterdir()]
    assert len(workers) == 2
    parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=PATIENCE_SECONDS / 4)
    parent.wait()
    assert not alive


def report_and_sleep(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(PATIENCE_SECONDS)


def have_them_wait() -> None:
    list(WorkerPool(2).map_unordered(wait, [0.5] * 4))


def test_a_child_that_has_workers_ends_when_its_work_does() -> None:
    """As each run of Dagster's is one: joblib lets idle workers live for five minutes."""
    run = multiprocessing.get_context("spawn").Process(target=have_them_wait)
    run.start()
    run.join(PATIENCE_SECONDS)
    ended = run.exitcode
    run.kill()
    assert ended == 0


def die_sometimes(task: tuple[int, str]) -> int:
    number, folder = task
    killed_before = Path(folder) / f"{number}"
    if number == 5 or (number == 1 and not killed_before.exists()):
        killed_before.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_killed_worker_costs_one_task_tried_once_more(tmp_path: Path) -> None:
    """One is killed once, as by chance, and one whenever it is tried, as without memory."""
    tasks = [(number, str(tmp_path)) for number in range(12)]
    found = WorkerPool(2).map_unordered(die_sometimes, tasks, str)
    results = {number: result for (number, _), result in found}
    reason = results.pop(5)
    assert "killed twice" in reason
    assert "CRYPTO_POOL_WORKERS" in reason
    assert results == {number: number for number in (*range(5), *range(6, 12))}


def test_a_killed_worker_ends_the_stream_of_who_has_nothing_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(BrokenProcessPool):
        results_of(WorkerPool(2), die_sometimes, [(5, str(tmp_path))])


def cannot_prepare() -> None:
    raise RuntimeError("no backend of that name")


def test_an_initialiser_s_own_error_is_told() -> None:
    with pytest.raises(WorkersUnavailable, match="cannot begin: RuntimeError: no backend of that"):
        list(WorkerPool(2, cannot_prepare).map_unordered(square, range(3)))


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_a_pool_of_one_begins_no_process() -> None:
    before = threading.active_count()
    assert WorkerPool() == WorkerPool(1)
    WorkerPool(1).begin()
    assert threading.active_count() == before


def test_processes_begin_beside_other_work() -> None:
    pool, earlier = WorkerPool(2, prepare=prepare_beside), children()
    pool.begin()
    for thread in threading.enumerate():
        if thread.name == "begin-workers":
            thread.join()
    begun = children() - earlier
    done = {pid for pid, _ in results_of(pool, read_prepared, range(4))}
    assert done  # on a busy machine one may do them all
    assert done <= begun


def test_the_first_task_waits_for_processes_that_begin() -> None:
    pool = WorkerPool(2, prepare=prepare_waited_for)
    pool.begin()
    done = dict(results_of(pool, read_prepared, range(4)))
    assert done
    assert all(prepared == [pid] for pid, prepared in done.items())
