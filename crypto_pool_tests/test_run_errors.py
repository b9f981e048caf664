"""What a build says of a run that failed as a whole."""

from collections.abc import Callable

import dagster as dg
import pytest

from crypto_pool.building import errors_of
from crypto_pool.defs.batches import UNEXPLAINED
from crypto_pool.errors import ModelUnavailable


def ours() -> None:
    try:
        raise ValueError("database is locked")
    except ValueError as fault:
        raise ModelUnavailable("the store does not answer") from fault


def foreign() -> None:
    try:
        raise ValueError("the cause")
    except ValueError as fault:
        raise RuntimeError("what followed") from fault


def run_failing(fail: Callable[[], None], *, before_the_steps: bool) -> list[str]:
    @dg.resource
    def needed(_: dg.InitResourceContext) -> None:
        if before_the_steps:
            fail()

    @dg.op(required_resource_keys={"needed"})
    def work(_: dg.OpExecutionContext) -> None:
        fail()

    @dg.job(resource_defs={"needed": needed})
    def job() -> None:
        work()

    return errors_of(job.execute_in_process(raise_on_error=False))


@pytest.mark.parametrize(
    ("fail", "told"),
    [
        (ours, "crypto_pool.errors.ModelUnavailable: the store does not answer"),
        (foreign, "ValueError: the cause"),
    ],
)
def test_the_pools_own_error_is_told_and_of_others_the_first_cause(fail, told):
    assert run_failing(fail, before_the_steps=True) == [told]
    assert run_failing(fail, before_the_steps=False) == [f"work: {told}"]


def test_a_run_that_says_nothing_is_still_a_failure():
    @dg.job
    def empty() -> None:
        pass

    assert errors_of(empty.execute_in_process()) == [UNEXPLAINED]
