"""Trainings that were asked for, and what became of the runs: asked is not done."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from crypto_pool.domain.members import Member

RETRY_AFTER = timedelta(hours=1)
RUN_KEY_TAG = "dagster/run_key"


@dataclass(frozen=True)
class TrainingRequest:
    """One request for a member's training; `retried_at` is set where its run did not succeed."""

    bar_date: date
    asked_at: datetime
    run_key: str
    retried_at: datetime | None = None

    @property
    def words(self) -> str:
        """When it is asked for again, in words."""
        return (
            f"its training of {self.bar_date} did not succeed; asked for again from "
            f"{self.retried_at:%Y-%m-%d %H:%M} UTC"
        )


def follow_requests(
    instance: dg.DagsterInstance, cursor: str | None, now: datetime
) -> dict[Member, TrainingRequest]:
    """Return the requests that still bind: those whose run succeeded, or is an hour from a retry.

    One whose run was cancelled, failed or is lost binds for an hour. Runs have ended when this
    is asked.
    """
    stored = {Member.parse(key): _read(value) for key, value in json.loads(cursor or "{}").items()}
    keys = {request.run_key for request in stored.values()}
    succeeded = {key for key in keys if not key or _has_succeeded(instance, key)}
    binding = {}
    for member, request in stored.items():
        if request.run_key in succeeded:
            binding[member] = request
        elif now < request.asked_at + RETRY_AFTER:
            binding[member] = replace(request, retried_at=request.asked_at + RETRY_AFTER)
    return binding


def to_cursor(requests: dict[Member, TrainingRequest]) -> str:
    """Return requests as a sensor keeps them."""
    return json.dumps(
        {member.partition_key: asdict(one) for member, one in requests.items()}, default=str
    )


def _read(stored: str | dict[str, str]) -> TrainingRequest:
    if isinstance(stored, str):  # 1.0.0 kept the day alone
        return TrainingRequest(date.fromisoformat(stored), datetime.min.replace(tzinfo=UTC), "")
    return TrainingRequest(
        date.fromisoformat(stored["bar_date"]),
        datetime.fromisoformat(stored["asked_at"]),
        stored["run_key"],
    )


def _has_succeeded(instance: dg.DagsterInstance, run_key: str) -> bool:
    filters = dg.RunsFilter(tags={RUN_KEY_TAG: run_key}, statuses=[dg.DagsterRunStatus.SUCCESS])
    return instance.get_runs_count(filters) > 0
