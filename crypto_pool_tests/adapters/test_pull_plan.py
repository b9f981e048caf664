"""What of a pull fits into a day's requests, and what waits until when."""

from datetime import timedelta

import pytest

from crypto_pool.adapters.pull_plan import plan_pull
from crypto_pool.domain.request_plans import RequestPlan
from crypto_pool_tests.adapters.spent_requests import Clock, spend


def test_what_does_not_fit_today_is_named_with_the_time_it_fits(opened, clock: Clock) -> None:
    budget = opened(RequestPlan(per_day=25))
    assert plan_pull(budget, {"A": 16}).deferred == ()
    spend(budget, 10)
    planned = plan_pull(budget, {"A": 16, "B": 1, "C": 30})
    assert (planned.fits, planned.deferred) == (("B",), ("A", "C"))
    assert planned.message.startswith("47 requests needed, 15 left of 25 today")
    assert "these wait until 2024-06-02 12:00 UTC: A;" in planned.message
    assert "C needs 30 requests, more than the plan allows in a day" in planned.message
    clock.time += timedelta(hours=6)
    spend(budget, 5)
    waiting = plan_pull(budget, {"A": 16, "B": 25}).message  # until the first of them fits
    assert "these wait until 2024-06-02 12:00 UTC: A, B" in waiting


@pytest.mark.parametrize(
    ("needed", "fits", "waiting", "never"),
    [
        ({"A": 25}, ("A",), "", ()),
        ({"A": 26, "B": 25}, ("B",), "", ("A",)),
        ({"A": 20, "B": 5}, ("A", "B"), "", ()),
        ({"A": 20, "B": 6, "C": 5, "D": 25}, ("A", "C"), "B, D", ()),
        ({"A": 0, "B": 25, "C": 0}, ("A", "B", "C"), "", ()),
    ],
)
def test_whole_items_are_planned_until_the_day_is_full(opened, needed, fits, waiting, never):
    planned = plan_pull(opened(RequestPlan(per_day=25)), needed)
    assert planned.fits == fits
    assert (f"UTC: {waiting}" in planned.message) is bool(waiting)
    assert ("can be pulled today" in planned.message) is (len(fits) < len(needed))
    assert [item for item in needed if f"; {item} needs" in planned.message] == list(never)
    unlimited = plan_pull(opened(RequestPlan()), needed)
    assert (unlimited.fits, unlimited.deferred) == (tuple(needed), ())
    assert unlimited.message.endswith("no daily limit")
