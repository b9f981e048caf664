"""The plans of the provider, and the pace that they allow."""

import math

import pytest

from crypto_pool.domain.request_plans import PLANS, RequestPlan
from crypto_pool.errors import InvalidSetting


def test_plans_are_those_of_the_provider() -> None:
    assert str(PLANS["free"]) == "1 a second, 25 a day"
    for name, plan in PLANS.items():
        if name != "free":
            assert (plan.per_minute, plan.per_day) == (int(name.removeprefix("premium_")), None)
            assert plan.per_second == math.ceil(plan.per_minute / 60 * 1.5)
    with pytest.raises(InvalidSetting, match="per_day=0"):
        RequestPlan(per_day=0)


@pytest.mark.parametrize(
    ("per_second", "per_minute", "pace"),
    [
        (None, None, {}),
        (2, 75, {1: 2, 60: 75}),
        (2, 2, {60: 2}),
        (5, 3, {60: 3}),
        (1, 60, {1: 1}),
        (1, 59, {1: 1, 60: 59}),
    ],
)
def test_a_pace_leaves_out_the_limit_that_the_other_implies(per_second, per_minute, pace) -> None:
    assert RequestPlan(per_second, per_minute).pace == pace
