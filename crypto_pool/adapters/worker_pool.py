"""Many tasks over local processes or a Dask cluster, one BLAS and OpenMP thread in each."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import psutil
from threadpoolctl import threadpool_limits

from crypto_pool.errors import InvalidSetting

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class WorkerPool:
    """Local worker processes; with `n_jobs=1` everything runs in this process.

    With a `scheduler`, the address of a Dask scheduler, its workers do it instead; `identify`
    must answer there as it does here.

    `prepare` is called in each worker before its first task. joblib replaces a worker that
    has grown by 300 MB since that task, taking it for one that leaks: what tasks import or
    compile later should be in memory by then.
    """

    n_jobs: int = 1
    prepare: Callable[[], None] | None = None
    scheduler: str | None = None
    identify: Callable[[], str] | None = None

    def __post_init__(self) -> None:
        """Refuse a pool without workers."""
        if self.n_jobs < 1:
            raise InvalidSetting(f"n_jobs is {self.n_jobs}; a worker pool needs at least 1")

    def map_unordered(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        lost: Callable[[Task, str], Result] | None = None,
    ) -> Iterator[Result]:
        """Results as they finish, so each should say which task it belongs to.

        An exception of `function` ends the whole stream: a function that
        isolates its members catches their errors and returns them. Function,
        tasks and results are pickled when `n_jobs` is above 1. `lost` makes the
        result of a task that a cluster gives up, from the task and the reason.
        """
        if self.scheduler is not None:
            from crypto_pool.adapters.dask_cluster import map_on_cluster

            return map_on_cluster(self.scheduler, self.identify, function, tasks, lost)
        if self.n_jobs == 1:
            return _map_in_process(function, tasks)
        import joblib

        with joblib.parallel_config(
            backend="loky",
            inner_max_num_threads=1,
            initializer=_begin_worker,
            initargs=(self.prepare,),
        ):
            parallel = joblib.Parallel(
                n_jobs=self.n_jobs, return_as="generator_unordered", batch_size=1
            )
            results: Iterator[Result] = parallel(joblib.delayed(function)(task) for task in tasks)
        return results


def _begin_worker(prepare: Callable[[], None] | None) -> None:
    _end_with_parent()
    if prepare is not None:
        prepare()


def _end_with_parent() -> None:
    """End this worker when the process that feeds it is gone, however it went.

    A worker that outlives a killed parent would go on writing beside the next run.
    """
    parent = psutil.Process(os.getppid())

    def wait() -> None:
        parent.wait()
        os._exit(1)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def _map_in_process(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
    for task in tasks:
        # Limited for the call alone: whoever consumes the results keeps its threads.
        with threadpool_limits(limits=1):
            result = function(task)
        yield result
