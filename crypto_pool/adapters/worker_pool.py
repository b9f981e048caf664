"""Many tasks over local processes or a Dask cluster, one BLAS and OpenMP thread in each."""

import atexit
import gc
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.util import Finalize
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from threadpoolctl import threadpool_limits

from crypto_pool.adapters.extensions import Extensions, loaded_extensions
from crypto_pool.errors import InvalidSetting, WorkersUnavailable

KILLED = (
    "its worker process was killed twice, as the system does when memory runs out: "
    "lower CRYPTO_POOL_WORKERS, or give the machine more memory"
)
PARENT_SEEN_SECONDS = 1.0
_UNPREPARED: list[str] = []
_BEGINNING: list[threading.Thread] = []
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

    def begin(self) -> None:
        """Start the processes of this machine beside other work; the first task waits for them."""

        def begin() -> None:
            from concurrent.futures.process import BrokenProcessPool

            with suppress(BrokenProcessPool):  # whoever gives them a task meets it again
                list(self._in_parallel(abs, range(self.n_jobs)))

        if self.scheduler is None and self.n_jobs > 1:
            thread = threading.Thread(target=begin, name="begin-workers", daemon=True)
            _BEGINNING.append(thread)
            thread.start()

    def map_unordered(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        lost: Callable[[str], Result] | None = None,
    ) -> Iterator[tuple[Task, Result]]:
        """Give each task with its result, as they finish.

        An exception of `function` ends the whole stream: a function that
        isolates its members catches their errors and returns them. Function,
        tasks and results are pickled when `n_jobs` is above 1. `lost` makes the
        result of a task whose worker was killed twice, or that a cluster gives up, from the
        reason.
        """
        if self.scheduler is not None:
            from crypto_pool.adapters.dask_cluster import map_on_cluster

            return map_on_cluster(self.scheduler, self.identify, function, tasks, lost)
        if self.n_jobs == 1:
            return _map_in_process(function, tasks)
        return self._map_over_processes(function, list(tasks), lost)

    def _map_over_processes(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        lost: Callable[[str], Result] | None,
    ) -> Iterator[tuple[Task, Result]]:
        """Where a worker is killed, try what was begun again, each alone, and go on with the rest.

        Nothing says which task the killed worker had; alone, the next one to be killed does.
        """
        from concurrent.futures.process import BrokenProcessPool

        while _BEGINNING:
            _BEGINNING.pop().join()
        to_do = dict(enumerate(tasks))
        with TemporaryDirectory() as begun:
            do = partial(_do, function, begun)
            while to_do:
                try:
                    for number, result in self._in_parallel(do, list(to_do.items())):
                        yield to_do.pop(number), result
                except BrokenProcessPool:
                    suspects = [number for number in to_do if (Path(begun) / str(number)).exists()]
                    if lost is None or not suspects:
                        raise
                    for number in suspects:
                        task = to_do.pop(number)
                        try:
                            [(_, result)] = self._in_parallel(do, [(number, task)])
                        except BrokenProcessPool:
                            result = lost(KILLED)
                        yield task, result

    def _in_parallel(self, do: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        import joblib

        _end_workers_with_this_process()
        with joblib.parallel_config(
            backend="loky",
            inner_max_num_threads=1,
            initializer=_begin_worker,
            initargs=(self.prepare, loaded_extensions()),
        ):
            parallel = joblib.Parallel(
                n_jobs=self.n_jobs, return_as="generator_unordered", batch_size=1
            )
            results: Iterator[Result] = parallel(joblib.delayed(do)(task) for task in tasks)
        return results


@cache
def _end_workers_with_this_process() -> None:
    """Let the workers go when this process ends, once.

    One that is itself a child, as a run of Dagster's is, would wait for them while they idle.
    """
    from joblib.externals.loky import get_reusable_executor

    def end() -> None:
        get_reusable_executor(reuse=True).shutdown(kill_workers=True)

    Finalize(None, end, exitpriority=0)


def _do(
    function: Callable[[Task], Result], begun: str, numbered: tuple[int, Task]
) -> tuple[int, Result]:
    """Do one task in a worker, and note before that it was begun."""
    number, task = numbered
    if _UNPREPARED:
        raise WorkersUnavailable(f"a worker process cannot begin: {'; '.join(_UNPREPARED)}")
    (Path(begun) / str(number)).touch()
    return number, function(task)


def _begin_worker(prepare: Callable[[], None] | None, extensions: Extensions) -> None:
    """Prepare a worker; what an initialiser raises the system tells as a segmentation fault."""
    _end_with_parent()
    atexit.register(os._exit, 0)  # what it imported takes seconds to be taken down, piece by piece
    try:
        extensions.load()
        if prepare is not None:
            prepare()
        gc.freeze()  # what it imported stays, and need not be looked through for garbage
    except Exception as fault:
        _UNPREPARED.append(f"{type(fault).__name__}: {fault}")


def _end_with_parent() -> None:
    """End this worker when the process that feeds it is gone, however it went.

    A worker that outlives a killed parent would go on writing beside the next run. One that has
    ended is there until it is asked how, and whoever reads its output first waits for this worker.
    """
    import psutil

    parent = psutil.Process(os.getppid())

    def wait() -> None:
        with suppress(psutil.NoSuchProcess):
            while parent.status() != psutil.STATUS_ZOMBIE:
                with suppress(psutil.TimeoutExpired):
                    parent.wait(PARENT_SEEN_SECONDS)
                    break
        os._exit(1)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def _map_in_process(
    function: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[tuple[Task, Result]]:
    for task in tasks:
        # Limited for the call alone: whoever consumes the results keeps its threads.
        with threadpool_limits(limits=1):
            result = function(task)
        yield task, result
