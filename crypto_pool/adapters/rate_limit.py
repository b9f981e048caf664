"""The request budget of one API key, kept by every process on the machine together.

Two logs of requests in SQLite (pyrate-limiter's bucket), each behind a lock file:

- `pace`: the last second and minute, by the machine's clock.
- `quota`: the last 24 hours, by the pool's clock. Where the provider's day begins is not
  documented, and no 24 hours may hold more than the limit wherever it does; so the day
  rolls. A run that starts a little earlier than yesterday's waits for `patience`.

A clock that was ahead, and is set back, leaves requests of a time to come: they were sent by now at
the latest, and are dated so. None is forgotten within a month.

A request reaches the provider at some moment between its admission and the first byte of
its answer. So it counts in every second from the one until a full window after the other:
however unevenly a busy machine sends, the provider sees no window over the limit.
"""

import sqlite3
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from crypto_pool.domain.request_plans import SECONDS_PER_DAY, RequestPlan
from crypto_pool.errors import DailyQuotaExhausted, InvalidSetting

if TYPE_CHECKING:
    from pyrate_limiter import RateItem, SQLiteBucket

IN_FLIGHT_LIMIT = timedelta(seconds=120)
"""A request whose process died counts as on its way for so long."""

PATIENCE = timedelta(minutes=10)
"""How long a request waits for the quota before it is refused."""

KEPT_DAYS = 31
_DAY_MS = SECONDS_PER_DAY * 1000
_POLL_MS = 25
_LEEWAY_MS = 1000
_NO_LIMIT = 10**9


class RequestBudget:
    """Admits requests within a plan, whoever on this machine sends them.

    `now` is the pool's clock and must run; `patience` is how long one waits for the quota.
    """

    def __init__(
        self,
        folder: Path,
        plan: RequestPlan,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: timedelta = PATIENCE,
    ) -> None:
        from pyrate_limiter import Rate, SQLiteBucket

        self.plan = plan
        self._now = now
        self._patience_ms = int(patience.total_seconds() * 1000)
        paces = [Rate(limit, seconds * 1000) for seconds, limit in plan.pace.items()]
        pace = paces or [Rate(_NO_LIMIT, 1000)]
        quota = [Rate(plan.per_day or _NO_LIMIT, _DAY_MS)]
        self._folder = folder
        with _usable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._quota = SQLiteBucket.init_from_file(
                quota, "quota", str(folder / "quota.sqlite"), use_file_lock=True
            )
            self._pace = SQLiteBucket.init_from_file(
                pace, "pace", str(folder / "pace.sqlite"), use_file_lock=True
            )
            # A budget that is dropped keeps no file open; not at exit, since a process that was
            # forked would close what its parent uses.
            self._files = weakref.finalize(self, _close, self._pace.conn, self._quota.conn)
            self._files.atexit = False
            with self._pace.lock:
                self._pace.leak(_machine_clock())
            with self._quota.lock, self._quota.conn as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS closings (until_ms INTEGER)")
                connection.execute(
                    "DELETE FROM quota WHERE item_timestamp < ?",
                    [_milliseconds(self._now()) - KEPT_DAYS * _DAY_MS],
                )

    @contextmanager
    def request(self) -> Iterator[None]:
        """Wait for a place, and hold it while the request is on its way.

        Leave the context when the answer begins. Raises DailyQuotaExhausted.
        """
        identity = self._admit()
        try:
            yield
        finally:
            self._settle(identity)

    def spent_today(self) -> int:
        """Requests of the last 24 hours."""
        return len(self._counted())

    def moments_today(self) -> list[datetime]:
        """When the requests of the last 24 hours were sent, oldest first."""
        return [datetime.fromtimestamp(moment / 1000, UTC) for moment in self._counted()]

    def left_today(self) -> int | None:
        """Requests that can be sent now or within the patience; None is without limit."""
        if self._closed_until() is not None:
            return 0
        if self.plan.per_day is None:
            return None
        return max(0, self.plan.per_day - len(self._counted(self._patience_ms)))

    def close_for_today(self) -> None:
        """Admit nothing before the next UTC day: the provider says that its quota is used up."""
        until = self._tomorrow()
        with self._alone(), self._quota.conn as connection:
            connection.execute("DELETE FROM closings")
            connection.execute("INSERT INTO closings VALUES (?)", [_milliseconds(until)])

    def free_at(self, requests: int, used: int) -> datetime:
        """Return when so many requests can be sent, if `used` others are sent now."""
        now = self._now().astimezone(UTC)
        free_at = self._closed_until() or now
        if self.plan.per_day is not None:
            counted = [*self._counted(), *[_milliseconds(now)] * used]
            to_wait_for = len(counted) + requests - self.plan.per_day
            if to_wait_for > 0:
                rolled = datetime.fromtimestamp(counted[to_wait_for - 1] / 1000, UTC)
                free_at = max(free_at, rolled + timedelta(days=1))
        return free_at

    def close(self) -> None:
        """Let go of the files."""
        self._files()

    def _counted(self, ahead_ms: int = 0) -> list[int]:
        """The moments of the requests that will still count `ahead_ms` from now, oldest first."""
        start = _milliseconds(self._now()) + ahead_ms - _DAY_MS
        with self._alone():
            self._bring_back()
            rows = self._quota.conn.execute(
                "SELECT item_timestamp FROM quota WHERE item_timestamp >= ? "
                "ORDER BY item_timestamp",
                [start],
            ).fetchall()
        return [int(moment) for (moment,) in rows]

    def _admit(self) -> str:
        identity = uuid.uuid4().hex
        while True:
            wait_ms = self._try_admit(identity)
            if wait_ms is None:
                return identity
            time.sleep(wait_ms / 1000)

    def _try_admit(self, identity: str) -> int | None:
        """Admit the request, or say how long to wait; one process at a time."""
        from pyrate_limiter import RateItem

        with self._alone():
            self._refuse_if_closed()
            paced = RateItem(identity, _machine_clock())
            if not self._pace.put(paced):
                # A place held by a request on its way is free a window after its answer began.
                waiting = _waiting(self._pace, paced)
                longest = max(self.plan.pace) * 1000
                return _POLL_MS if waiting > longest + 1 else max(1, waiting)
            counted = RateItem(identity, _milliseconds(self._now()))
            if not self._quota.put(counted):
                with self._pace.conn as connection:
                    connection.execute("DELETE FROM pace WHERE name = ?", [identity])
                return self._wait_for_quota(_waiting(self._quota, counted))
            # On its way it counts in every window to come, until it is settled.
            ahead = paced.timestamp + int(IN_FLIGHT_LIMIT.total_seconds() * 1000)
            _move(self._pace, identity, ahead)
            return None

    def _wait_for_quota(self, wait_ms: int) -> int:
        if wait_ms > self._patience_ms:
            free_at = self._now() + timedelta(milliseconds=wait_ms)
            raise DailyQuotaExhausted(
                f"the plan's {self.plan.per_day} requests a day are used up; the next one is free "
                f"at {free_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: run again then, and what was "
                "pulled today is kept, or choose a larger CRYPTO_POOL_ALPHA_VANTAGE_PLAN"
            )
        return max(1, wait_ms)

    def _refuse_if_closed(self) -> None:
        until = self._closed_until()
        if until is not None:
            raise DailyQuotaExhausted(
                "the provider said that the key's daily quota is used up, so nothing is asked "
                f"before {until:%Y-%m-%d %H:%M} UTC: run again then, and what was pulled is kept"
            )

    def _closed_until(self) -> datetime | None:
        with self._alone():
            self._bring_back()
            (last,) = self._quota.conn.execute("SELECT max(until_ms) FROM closings").fetchone()
        until = None if last is None else datetime.fromtimestamp(last / 1000, UTC)
        return until if until is not None and until > self._now() else None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with _usable(self._folder), self._quota.lock, self._pace.lock:
            yield

    def _bring_back(self) -> None:
        """Date what a clock that was ahead has dated later than it can be; both locks are held."""
        now, machine = _milliseconds(self._now()), _machine_clock()
        latest = machine + int(IN_FLIGHT_LIMIT.total_seconds() * 1000)
        update = "UPDATE {} SET {} = ? WHERE {} > ?"
        with self._quota.conn as quota, self._pace.conn as pace:
            quota.execute(update.format("quota", *["item_timestamp"] * 2), [now, now + _LEEWAY_MS])
            tomorrow = _milliseconds(self._tomorrow())
            quota.execute(update.format("closings", *["until_ms"] * 2), [tomorrow, tomorrow])
            pace.execute(
                update.format("pace", *["item_timestamp"] * 2), [machine, latest + _LEEWAY_MS]
            )

    def _tomorrow(self) -> datetime:
        tomorrow = self._now().astimezone(UTC).date() + timedelta(days=1)
        return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=UTC)

    def _settle(self, identity: str) -> None:
        with self._alone():
            _move(self._quota, identity, _milliseconds(self._now()) + 1)
            _move(self._pace, identity, _machine_clock() + 1)


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Raise InvalidSetting where the files cannot be opened, read or written."""
    try:
        yield
    except (OSError, sqlite3.Error) as fault:
        raise InvalidSetting(
            f"the request budget in {folder} cannot be used: {fault}; make room there, or "
            "set CRYPTO_POOL_REQUEST_BUDGET_DIR to a writable local folder"
        ) from fault


def _waiting(bucket: "SQLiteBucket", item: "RateItem") -> int:
    """Milliseconds until a refused item may fit; the SQLite bucket always answers at once."""
    waiting = bucket.waiting(item)
    assert isinstance(waiting, int)
    return waiting


def _move(bucket: "SQLiteBucket", identity: str, timestamp: int) -> None:
    with bucket.conn as connection:
        connection.execute(
            f"UPDATE {bucket.table} SET item_timestamp = ? WHERE name = ?", [timestamp, identity]
        )


def _close(*connections: sqlite3.Connection) -> None:
    for connection in connections:
        connection.close()


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _machine_clock() -> int:
    return time.time_ns() // 1_000_000
