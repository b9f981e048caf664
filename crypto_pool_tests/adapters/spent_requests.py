"""Requests spent of a budget by a clock that a test sets."""

from datetime import UTC, datetime, timedelta

from crypto_pool.adapters.rate_limit import RequestBudget

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


def spend(budget: RequestBudget, requests: int) -> None:
    for _ in range(requests):
        with budget.request():
            pass
