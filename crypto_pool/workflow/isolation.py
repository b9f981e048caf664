"""Run tasks over workers so that a failing one stops no other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from crypto_pool.adapters.worker_pool import WorkerPool

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """Why a task gave no result."""

    reason: str


def map_isolated(
    workers: WorkerPool, function: Callable[[Task], Result], tasks: Sequence[Task]
) -> Iterator[tuple[Task, Result | Failure]]:
    """Each task with its result or its failure, as they finish."""
    for index, result in workers.map_unordered(
        partial(_attempt, function), list(enumerate(tasks)), _give_up
    ):
        yield tasks[index], result


def _attempt(
    function: Callable[[Task], Result], numbered: tuple[int, Task]
) -> tuple[int, Result | Failure]:
    index, task = numbered
    try:
        return index, function(task)
    except Exception as error:  # the boundary that isolates one member from the others
        return index, Failure(f"{type(error).__name__}: {error}")


def _give_up(numbered: tuple[int, Task], reason: str) -> tuple[int, Result | Failure]:
    return numbered[0], Failure(reason)
