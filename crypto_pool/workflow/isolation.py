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
    return workers.map_unordered(partial(_attempt, function), tasks, Failure)


def _attempt(function: Callable[[Task], Result], task: Task) -> Result | Failure:
    try:
        return function(task)
    except Exception as error:  # the boundary that isolates one member from the others
        return Failure(f"{type(error).__name__}: {error}")
