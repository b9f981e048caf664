"""No more requests a second and a minute than the plan has, by the machine's clock."""

import threading
import time
from datetime import timedelta

import pytest

from crypto_pool.adapters import rate_limit
from crypto_pool.adapters.rate_limit import RequestBudget
from crypto_pool.domain.request_plans import RequestPlan
from crypto_pool_tests.adapters.spent_requests import DAY, NOON, spend
from crypto_pool_tests.conftest import PATIENCE_SECONDS


class Machine:
    """A machine's clock that runs while one sleeps, and not else."""

    def __init__(self) -> None:
        self.milliseconds, self.waited = 1_700_000_000_000, []

    def __call__(self) -> int:
        return self.milliseconds

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.milliseconds += round(seconds * 1000)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(rate_limit, "_machine_clock", made)
    monkeypatch.setattr(rate_limit.time, "sleep", made.sleep)
    return made


@pytest.mark.parametrize(
    ("plan", "requests", "seconds"),
    [
        (RequestPlan(per_second=2), 2, 0),
        (RequestPlan(per_second=2), 3, 1),
        (RequestPlan(per_second=2), 5, 2),
        (RequestPlan(per_minute=2), 3, 60),
        (RequestPlan(per_second=1, per_minute=2), 3, 60),
        (RequestPlan(), 9, 0),
    ],
)
def test_no_longer_is_waited_than_the_pace_needs(opened, machine, plan, requests, seconds) -> None:
    spend(opened(plan), requests)
    assert seconds <= sum(machine.waited) < seconds + 0.02
    assert len(machine.waited) <= 2 * seconds


def test_a_request_whose_process_died_is_on_its_way_for_two_minutes(opened, machine) -> None:
    plan = RequestPlan(per_second=1)
    lost = opened(plan).request()
    lost.__enter__()
    spend(opened(plan), 1)
    assert 121 <= sum(machine.waited) < 121.1
    assert min(machine.waited) > 0.02


def test_a_free_place_within_the_patience_is_waited_for(opened, clock, machine, monkeypatch):
    budget = opened(RequestPlan(per_day=1))
    spend(budget, 1)
    clock.time = begun = NOON + DAY - timedelta(minutes=9)

    def wait(seconds: float) -> None:
        clock.time += timedelta(seconds=seconds)

    monkeypatch.setattr(rate_limit.time, "sleep", wait)
    spend(budget, 1)
    assert 540 <= (clock.time - begun).total_seconds() < 540.1


def test_a_second_is_waited_for(opened) -> None:
    begun = time.monotonic()
    spend(opened(RequestPlan(per_second=2)), 3)
    assert time.monotonic() - begun >= 1.0


def test_a_request_on_its_way_holds_its_place(opened) -> None:
    """Two that left together may arrive together, however long the first one took."""
    plan = RequestPlan(per_second=1)
    held, admitted = opened(plan), threading.Event()
    waiting = threading.Thread(target=lambda: (spend(opened(plan), 1), admitted.set()))
    with held.request():
        waiting.start()
        assert not admitted.wait(1.5)
    assert admitted.wait(PATIENCE_SECONDS)
    waiting.join()


def test_a_machine_clock_that_was_ahead_stops_no_request(tmp_path, clock, monkeypatch):
    plan = RequestPlan(per_minute=2)
    now = time.time_ns() // 1_000_000
    machine, waited = [now + 25 * 3_600_000], []
    monkeypatch.setattr(rate_limit, "_machine_clock", lambda: machine[0])

    def wait(seconds: float) -> None:
        waited.append(seconds)
        machine[0] += 61_000

    monkeypatch.setattr(rate_limit.time, "sleep", wait)
    spend(RequestBudget(tmp_path, plan, now=clock), 2)
    machine[0] = now
    spend(RequestBudget(tmp_path, plan, now=clock), 1)
    assert len(waited) <= 3
