"""One key's budget of a day: across processes, restarts and clocks."""

import gc
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from crypto_pool.adapters.pull_plan import plan_pull
from crypto_pool.adapters.rate_limit import RequestBudget
from crypto_pool.domain.request_plans import RequestPlan
from crypto_pool.errors import DailyQuotaExhausted, InvalidSetting
from crypto_pool_tests.adapters.spent_requests import DAY, NOON, Clock, spend
from crypto_pool_tests.conftest import PATIENCE_SECONDS

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


def test_the_requests_of_the_last_24_hours_are_told_with_their_moments(
    opened, clock: Clock
) -> None:
    budget = opened(RequestPlan(per_day=5))
    for hours in (0, 6, 25):
        clock.time = NOON + timedelta(hours=hours)
        spend(budget, 1)
    moments = [moment.replace(microsecond=0) for moment in budget.moments_today()]
    assert moments == [NOON + timedelta(hours=6), NOON + timedelta(hours=25)]


def test_a_clock_that_runs_changes_no_moment(opened, clock: Clock) -> None:
    budget = opened(RequestPlan(per_day=5))
    spend(budget, 1)
    [sent] = budget.moments_today()
    assert sent == NOON + timedelta(milliseconds=1)
    for milliseconds in (1, 500, 10_000):
        clock.time = NOON + timedelta(milliseconds=milliseconds)
        assert budget.moments_today() == [sent]


def test_a_request_counts_for_24_hours_to_the_millisecond(opened, clock: Clock) -> None:
    budget = opened(RequestPlan(per_day=1))
    spend(budget, 1)
    clock.time = budget.moments_today()[0] + DAY
    assert budget.spent_today() == 1
    clock.time += timedelta(milliseconds=1)
    assert budget.spent_today() == 0


def test_a_day_the_provider_closed_ends_at_midnight(opened, clock: Clock) -> None:
    budget = opened(RequestPlan())
    budget.close_for_today()
    assert opened(RequestPlan()).left_today() == 0
    with pytest.raises(DailyQuotaExhausted, match="2024-06-02 00:00 UTC"):
        spend(budget, 1)
    assert "2024-06-02 00:00 UTC" in plan_pull(budget, {"A": 1}).message
    clock.time = NOON + timedelta(hours=12)
    spend(budget, 1)


def test_a_folder_that_cannot_be_written_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSetting, match="CRYPTO_POOL_REQUEST_BUDGET_DIR"):
        RequestBudget(tmp_path / "file", RequestPlan())


def test_a_budget_that_fails_in_use_names_its_folder_and_the_setting(tmp_path, opened) -> None:
    """As on a full disk, or where another program holds the file."""
    budget = opened(RequestPlan(per_day=3))
    with closing(sqlite3.connect(tmp_path / "quota.sqlite")) as other:
        other.execute("DROP TABLE quota")
    for ask in (budget.left_today, lambda: spend(budget, 1), lambda: budget.free_at(1, 0)):
        with pytest.raises(InvalidSetting, match=rf"{tmp_path} cannot be used: no.*BUDGET_DIR"):
            ask()


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


def test_what_a_clock_that_was_ahead_sent_is_dated_now_when_it_is_back(opened, clock) -> None:
    budget = opened(RequestPlan(per_day=3))
    clock.time = NOON + timedelta(hours=25)
    spend(budget, 1)
    clock.time = NOON
    assert [moment.replace(microsecond=0) for moment in budget.moments_today()] == [NOON]


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
