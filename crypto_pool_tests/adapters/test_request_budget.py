"""One key's budget: across processes, restarts and clocks; and the server's own limits."""

import gc
import math
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from crypto_pool.adapters import rate_limit
from crypto_pool.adapters.pull_plan import plan_pull
from crypto_pool.adapters.rate_limit import RequestBudget
from crypto_pool.domain.request_plans import PLANS, RequestPlan
from crypto_pool.errors import DailyQuotaExhausted, InvalidSetting
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.sandbox.server import SandboxMarketServer, serving
from crypto_pool_tests.conftest import PATIENCE_SECONDS

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)

ASKER = """
import sys
from datetime import datetime
from pathlib import Path
from crypto_pool.adapters.rate_limit import RequestBudget
from crypto_pool.domain.request_plans import RequestPlan
from crypto_pool.errors import DailyQuotaExhausted
noon = datetime.fromisoformat(sys.argv[2])
budget = RequestBudget(Path(sys.argv[1]), RequestPlan(per_day=10), now=lambda: noon)
admitted = 0
try:
    while True:
        with budget.request():
            admitted += 1
            print("admitted", flush=True)
            if len(sys.argv) > 3:
                sys.stdin.read()
except DailyQuotaExhausted:
    print("total", admitted)
"""


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Callable[[RequestPlan], RequestBudget]:
    return lambda plan: RequestBudget(tmp_path, plan, now=clock)


def spend(budget: RequestBudget, requests: int) -> None:
    for _ in range(requests):
        with budget.request():
            pass


def asker(folder: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ASKER, str(folder), NOON.isoformat(), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_share_one_day(tmp_path: Path, clock: Clock) -> None:
    askers = [asker(tmp_path) for _ in range(3)]
    said = [one.communicate(timeout=PATIENCE_SECONDS)[0] for one in askers]
    assert all("total" in text for text in said)
    assert sum(text.count("admitted") for text in said) == 10
    assert RequestBudget(tmp_path, RequestPlan(per_day=10), now=clock).left_today() == 0


def test_a_process_killed_with_a_request_on_its_way_has_spent_it(tmp_path: Path, clock) -> None:
    with asker(tmp_path, "wait") as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "admitted\n"
        killed.send_signal(signal.SIGKILL)
    budget = RequestBudget(tmp_path, RequestPlan(per_day=10), now=clock)
    assert (budget.spent_today(), budget.left_today()) == (1, 9)


def test_a_restart_forgets_nothing_and_the_day_rolls(opened, clock: Clock) -> None:
    plan = RequestPlan(per_day=3)
    first = opened(plan)
    spend(first, 2)
    clock.time += timedelta(hours=6)
    spend(first, 1)
    first.close()
    again = opened(plan)
    with pytest.raises(DailyQuotaExhausted, match="2024-06-02 12:00 UTC"):
        spend(again, 1)
    clock.time = NOON + timedelta(hours=12, minutes=1)  # another date, but not another 24 hours
    assert again.left_today() == 0
    clock.time = NOON + DAY + timedelta(seconds=1)
    assert again.left_today() == 2
    spend(again, 2)
    with pytest.raises(DailyQuotaExhausted, match="2024-06-02 18:00 UTC"):
        spend(again, 1)


def test_what_does_not_fit_today_is_named_with_the_time_it_fits(opened, clock: Clock) -> None:
    budget = opened(RequestPlan(per_day=25))
    assert plan_pull(budget, {"A": 16}).deferred == ()
    spend(budget, 10)
    planned = plan_pull(budget, {"A": 16, "B": 1, "C": 30})
    assert (planned.fits, planned.deferred) == (("B",), ("A", "C"))
    assert planned.message.startswith("47 requests needed, 15 left of 25 today")
    assert "these wait until 2024-06-02 12:00 UTC: A;" in planned.message
    assert "C needs 30 requests, more than the plan allows in a day" in planned.message


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


def test_what_is_free_within_the_patience_is_left_today(opened, clock: Clock) -> None:
    budget = opened(RequestPlan(per_day=1))
    spend(budget, 1)
    clock.time = NOON + DAY - timedelta(minutes=10, seconds=1)
    assert budget.left_today() == 0
    with pytest.raises(DailyQuotaExhausted, match="the plan's 1 requests a day are used up"):
        spend(budget, 1)
    clock.time = NOON + DAY - timedelta(minutes=9, seconds=59)
    assert budget.left_today() == 1


def test_a_plan_that_became_smaller_than_what_was_sent_leaves_nothing(opened) -> None:
    spend(opened(RequestPlan(per_day=5)), 3)
    assert opened(RequestPlan(per_day=2)).left_today() == 0
    assert opened(RequestPlan(per_day=3)).left_today() == 0
    assert opened(RequestPlan(per_day=4)).left_today() == 1
    assert opened(RequestPlan()).left_today() is None


@pytest.mark.parametrize(
    ("requests", "used", "hours"),
    [(3, 0, 7), (4, 0, 24), (5, 0, 30), (2, 1, 7), (3, 1, 24), (4, 1, 30), (5, 1, 31), (3, 2, 30)],
)
def test_requests_are_free_a_day_after_those_that_are_in_their_place(
    opened, clock: Clock, requests, used, hours
) -> None:
    """Of five a day two are spent, at noon and at six; it is seven, and `used` are sent now."""
    budget = opened(RequestPlan(per_day=5))
    for at in (0, 6):
        clock.time = NOON + timedelta(hours=at)
        spend(budget, 1)
    clock.time = NOON + timedelta(hours=7)
    free_at = budget.free_at(requests, used).replace(microsecond=0)
    assert free_at == NOON + timedelta(hours=hours)
    assert opened(RequestPlan()).free_at(requests, used) == clock.time
    budget.close_for_today()
    midnight = NOON + timedelta(hours=12)
    assert budget.free_at(1, 0) == midnight
    assert budget.free_at(requests, used).replace(microsecond=0) == max(midnight, free_at)


@pytest.mark.parametrize(("days", "known"), [(31, 1), (32, 0)])
def test_what_was_sent_is_known_for_a_month_to_a_clock_that_is_set_back(
    opened, clock: Clock, days, known
) -> None:
    spend(opened(RequestPlan()), 1)
    clock.time = NOON + timedelta(days=days)
    opened(RequestPlan())
    clock.time = NOON + timedelta(hours=1)
    assert opened(RequestPlan()).spent_today() == known


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


def test_the_requests_of_the_last_24_hours_are_told_with_their_moments(
    opened, clock: Clock
) -> None:
    budget = opened(RequestPlan(per_day=5))
    for hours in (0, 6, 25):
        clock.time = NOON + timedelta(hours=hours)
        spend(budget, 1)
    moments = [moment.replace(microsecond=0) for moment in budget.moments_today()]
    assert moments == [NOON + timedelta(hours=6), NOON + timedelta(hours=25)]


def test_a_day_the_provider_closed_ends_at_midnight(opened, clock: Clock) -> None:
    budget = opened(RequestPlan())
    budget.close_for_today()
    assert opened(RequestPlan()).left_today() == 0
    with pytest.raises(DailyQuotaExhausted, match="2024-06-02 00:00 UTC"):
        spend(budget, 1)
    assert "2024-06-02 00:00 UTC" in plan_pull(budget, {"A": 1}).message
    clock.time = NOON + timedelta(hours=12)
    spend(budget, 1)


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


def test_a_folder_that_cannot_be_written_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSetting, match="CRYPTO_POOL_REQUEST_BUDGET_DIR"):
        RequestBudget(tmp_path / "file", RequestPlan())


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


@pytest.mark.parametrize(
    ("plan", "notice"),
    [
        (RequestPlan(per_second=2), "(2 request per second)"),
        (RequestPlan(per_minute=2), "2 calls per minute"),
        (RequestPlan(per_day=2), "2 requests per day"),
    ],
)
def test_the_server_keeps_its_own_limits(plan: RequestPlan, notice: str) -> None:
    asked = {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "USD", "apikey": "k"}

    def ask(url: str) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(url, params=asked, timeout=PATIENCE_SECONDS)

    market = SandboxMarketServer(SyntheticMarket().bars, plan, lambda: NOON)
    with serving(market) as url, ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(ask, [url] * 3))
    assert {answer.status_code for answer in answers} == {200}
    (refused,) = [answer for answer in answers if "Meta Data" not in answer.json()]
    assert notice in refused.text


def test_a_clock_that_jumps_ahead_and_back_leaves_the_budget_right(tmp_path, clock, opened):
    budget = opened(RequestPlan(per_day=10))
    spend(budget, 6)
    clock.time += timedelta(hours=25)
    assert budget.spent_today() == 0
    spend(budget, 2)
    budget.close_for_today()
    opened(RequestPlan(per_day=10))  # another process begins meanwhile
    clock.time = NOON + timedelta(minutes=1)
    assert (budget.spent_today(), budget.left_today()) == (8, 0)
    clock.time = NOON.replace(hour=0) + DAY
    assert (budget.spent_today(), budget.left_today()) == (8, 2)
    spend(budget, 2)
    with pytest.raises(DailyQuotaExhausted):
        spend(budget, 1)


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


def test_a_budget_that_is_dropped_closes_its_files(tmp_path, clock):
    """From Python 3.13 on a connection that nobody closes is warned of."""
    budget = RequestBudget(tmp_path, RequestPlan(per_day=10), now=clock)
    spend(budget, 1)
    files = [budget._pace.conn, budget._quota.conn]
    del budget
    gc.collect()
    for file in files:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            file.execute("SELECT 1")
