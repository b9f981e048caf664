"""Tasks on a Dask cluster: every result, one thread each, only by workers that have the same."""

import os
import signal
import uuid
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import dask
import psutil
import pytest
from distributed import LocalCluster

from crypto_pool.adapters import dask_cluster as adapter
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.errors import UnscoredCandidate, WorkersUnavailable
from crypto_pool.workflow.isolation import Failure, map_isolated
from crypto_pool_tests.adapters.test_worker_pool import count_threads, refuse, square
from drills._engines import dask_cluster

ROOT = Path(__file__).parents[2]  # the workers import this module


@pytest.fixture(scope="module")
def cluster():
    """A task is given up when its first worker dies; a nanny brings the worker back."""
    own = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0", "PYTHONPATH": str(ROOT)}
    with dask_cluster(1, **own) as started:
        yield started


def kill_worker_of(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def cannot_identify():
    if not hasattr(cannot_identify, "here"):  # where the test runs
        raise ValueError("no git here")
    return "code"


def process_number():
    return str(os.getpid())


def unlike(_):
    return uuid.uuid4().hex


def test_every_task_gives_its_result_once_in_other_processes(cluster):
    results = list(WorkerPool(scheduler=cluster.scheduler).map_unordered(square, range(20)))
    assert sorted((task, *result[:2]) for task, result in results) == [
        (n, n, n**2) for n in range(20)
    ]
    assert {result[2] for _, result in results} <= {
        child.pid
        for worker in cluster.workers
        for child in psutil.Process(worker.pid).children(recursive=True)
    }


def test_equal_tasks_are_done_each_and_no_more_are_handed_out_than_keep_a_worker_busy(cluster):
    drawn = []
    tasks = (drawn.append(number) or "equal" for number in range(9))
    results = WorkerPool(scheduler=cluster.scheduler).map_unordered(unlike, tasks)
    first = next(results)
    assert len(drawn) == 3  # that one, and two for its thread
    assert dask.config.get("scheduler", None) is None  # who else uses Dask here is sent nowhere
    assert len({result for _, result in [first, *results]}) == 9


def test_each_task_has_one_thread(cluster):
    pool = WorkerPool(scheduler=cluster.scheduler)
    assert {threads for _, threads in pool.map_unordered(count_threads, range(3))} == {1}


def test_error_of_a_task_reaches_the_caller(cluster):
    pool = WorkerPool(scheduler=cluster.scheduler)
    with pytest.raises(UnscoredCandidate, match="one class only"):
        list(pool.map_unordered(refuse, range(3)))


def test_a_worker_with_other_code_is_refused_with_both_versions(cluster):
    pool = WorkerPool(scheduler=cluster.scheduler, identify=process_number)
    with pytest.raises(WorkersUnavailable, match=rf"code \d+ instead of {os.getpid()}"):
        list(pool.map_unordered(square, [1]))


def test_a_worker_that_lacks_a_package_is_refused_and_no_tool_of_tests_is_asked_for(
    cluster, monkeypatch
):
    def installed(name):
        if name in ("numpy", "pytest"):
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(adapter, "version", installed)
    pool = WorkerPool(scheduler=cluster.scheduler, identify=partial(str, "another identity"))
    with pytest.raises(WorkersUnavailable, match=r"it has numpy \S+ instead of not installed;"):
        list(pool.map_unordered(square, [1]))


def test_a_worker_that_cannot_run_the_code_is_named(cluster):
    pool = WorkerPool(scheduler=cluster.scheduler, identify=cannot_identify)
    cannot_identify.here = True
    with pytest.raises(WorkersUnavailable, match=r"tcp:\S+ cannot run this pool's code \(no git"):
        list(pool.map_unordered(square, [1]))


def test_a_task_that_kills_its_worker_fails_and_the_cluster_goes_on(cluster):
    pool = WorkerPool(scheduler=cluster.scheduler)
    [(task, failure)] = map_isolated(pool, kill_worker_of, [1])
    assert task == 1
    assert isinstance(failure, Failure)
    assert "its worker died 1 times, at last tcp://127.0.0.1" in failure.reason
    with pytest.raises(WorkersUnavailable, match="a task was given up: its worker died"):
        list(pool.map_unordered(kill_worker_of, [1]))
    assert list(pool.map_unordered(kill_worker_of, [2])) == [(2, 2)]


def test_a_scheduler_without_workers_is_named_with_the_command_that_starts_one(monkeypatch):
    monkeypatch.setattr(adapter, "CONNECT_SECONDS", 0.5)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as alone,
        pytest.raises(WorkersUnavailable, match=r"has no worker after 0\.5 s; .*`dask worker "),
    ):
        list(WorkerPool(scheduler=alone.scheduler_address).map_unordered(square, [1]))


def test_a_scheduler_that_does_not_answer_is_named_with_the_setting(monkeypatch):
    monkeypatch.setattr(adapter, "CONNECT_SECONDS", 0.5)
    nobody = "tcp://127.0.0.1:9"
    with pytest.raises(WorkersUnavailable, match=f"{nobody}.*CRYPTO_POOL_DASK_SCHEDULER"):
        list(adapter.map_on_cluster(nobody, None, square, [1], None))
