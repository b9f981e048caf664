"""Many tasks over the workers of a Dask cluster, one BLAS and OpenMP thread in each.

A worker must have what this process has: the packages and the code that fits depend on are
compared when it is met, and again with each task, since workers come and go. What a lost worker
was doing is done again by another.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import islice
from platform import python_version
from typing import Any, TypeVar

from packaging.requirements import Requirement
from threadpoolctl import threadpool_limits

from crypto_pool.adapters.extensions import Extensions, extension_codes, loaded_extensions
from crypto_pool.errors import WorkersUnavailable

Task = TypeVar("Task")
Result = TypeVar("Result")

PACKAGE = "crypto-pool"
CONNECT_SECONDS = 30
# Enough that no worker waits for its next task, few enough that tasks do not pile up in memory.
TASKS_A_THREAD = 2
NOT_INSTALLED = "not installed"


def map_on_cluster(
    scheduler: str,
    identify: Callable[[], str] | None,
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    lost: Callable[[str], Result] | None,
) -> Iterator[tuple[Task, Result]]:
    """Give each task with its result, as they finish.

    Dask gives a task up when the workers that tried it have died again and again, as one that
    needs more memory than they have. Its result is then what `lost` makes of the reason.
    `identify` tells apart what versions of packages do not.

    Raises:
        WorkersUnavailable: the scheduler does not answer, has no workers, or workers with other
            versions than this process; or a task was given up and there is no `lost`.
    """
    from distributed import Client, KilledWorker, as_completed

    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError) as fault:
        raise WorkersUnavailable(
            f"no Dask scheduler answers at {scheduler} within {CONNECT_SECONDS:g} s ({fault}); "
            "start one with `dask scheduler`, or unset CRYPTO_POOL_DASK_SCHEDULER to train here"
        ) from None
    with client:
        same = partial(_identity, identify, loaded_extensions())
        expected = same()
        _check_workers(client, scheduler, same, expected)
        waiting, running = iter(tasks), as_completed(loop=client.loop)
        handed_out: dict[Any, Task] = {}

        def hand_out() -> None:
            wanted = TASKS_A_THREAD * max(1, sum(client.nthreads().values())) - len(handed_out)
            for task in islice(waiting, max(0, wanted)):
                future = client.submit(_run, expected, same, function, task, pure=False)
                handed_out[future] = task
                running.add(future)

        hand_out()
        while handed_out:
            future = next(running)
            task = handed_out.pop(future)
            try:
                result = future.result()
            except KilledWorker as fault:
                reason = (
                    f"its worker died {fault.allowed_failures + 1} times, at last "
                    f"{fault.last_worker.address}: look at that worker's log and memory"
                )
                if lost is None:
                    raise WorkersUnavailable(f"a task was given up: {reason}") from fault
                result = lost(reason)
            finally:
                future.release()
            hand_out()
            yield task, result


def _check_workers(
    client: Any,
    scheduler: str,
    same: Callable[[], Mapping[str, str]],
    expected: Mapping[str, str],
) -> None:
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        raise WorkersUnavailable(
            f"the Dask scheduler {scheduler} has no worker after {CONNECT_SECONDS:g} s; start some "
            f"with `dask worker {scheduler} --nthreads 1`"
        ) from None
    for worker, versions in client.run(same, on_error="return").items():
        if isinstance(versions, Exception):
            raise WorkersUnavailable(
                f"Dask worker {worker} cannot run this pool's code ({versions}); install {PACKAGE} "
                f"{expected[PACKAGE]} there"
            )
        _refuse_others(expected, versions, worker)


def _refuse_others(expected: Mapping[str, str], installed: Mapping[str, str], worker: str) -> None:
    differing = [
        f"{name} {installed.get(name, NOT_INSTALLED)} instead of {wanted}"
        for name, wanted in expected.items()
        if installed.get(name, NOT_INSTALLED) != wanted
    ]
    if differing:
        raise WorkersUnavailable(
            f"Dask worker {worker} would train other models than this process: it has "
            f"{', '.join(differing)}; install the same requirements.lock and the same code on both"
        )


def _run(
    expected: Mapping[str, str],
    same: Callable[[], Mapping[str, str]],
    function: Callable[[Task], Result],
    task: Task,
) -> Result:
    """Runs in a worker."""
    from distributed import get_worker

    _refuse_others(expected, same(), get_worker().address)
    with threadpool_limits(limits=1):
        return function(task)


@cache
def _identity(identify: Callable[[], str] | None, extensions: Extensions) -> dict[str, str]:
    """What a fit depends on, by name: Python, the package's own requirements, its code."""
    extensions.load()
    named = (Requirement(line) for line in requires(PACKAGE) or ())
    needed = [one.name for one in named if one.marker is None or one.marker.evaluate()]
    return {
        "python": python_version(),
        **{name: _version(name) for name in (PACKAGE, *needed)},
        **({} if identify is None else {"code": identify()}),
        **extension_codes(),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return NOT_INSTALLED
