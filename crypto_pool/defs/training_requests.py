"""Trainings that were asked for, and what became of the runs: asked is not done."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import dagster as dg
from pydantic import AwareDatetime, BeforeValidator, TypeAdapter

from crypto_pool.domain.members import Member
from crypto_pool.errors import InvalidSetting

RETRY_AFTER = timedelta(hours=1)
NEVER = datetime.min.replace(tzinfo=UTC)
RUN_KEY_TAG = "dagster/run_key"


@dataclass(frozen=True)
class TrainingRequest:
    """One request for a member's training; `retried_at` is set where its run did not succeed."""

    bar_date: date
    asked_at: AwareDatetime = NEVER
    run_key: str = ""
    retried_at: AwareDatetime | None = None

    @property
    def words(self) -> str:
        """When it is asked for again, in words."""
        return (
            f"its training of {self.bar_date} did not succeed; asked for again from "
            f"{self.retried_at:%Y-%m-%d %H:%M} UTC"
        )


def _of_a_day(stored: Any) -> Any:
    return {"bar_date": stored} if isinstance(stored, str) else stored  # 1.0.0 kept the day alone


CURSOR = TypeAdapter(dict[str, Annotated[TrainingRequest, BeforeValidator(_of_a_day)]])


def follow_requests(
    instance: dg.DagsterInstance, cursor: str | None, now: datetime
) -> dict[Member, TrainingRequest]:
    """Return the requests that still bind: those whose run succeeded, or is an hour from a retry.

    One whose run was cancelled, failed or is lost binds for an hour, one of a day to come not at
    all. Runs have ended when this is asked.
    """
    try:
        known = CURSOR.validate_json(cursor or "{}")
        stored = {
            Member.parse(key): one
            for key, one in known.items()
            if max(one.bar_date, one.asked_at.date()) <= now.date()
        }
    except (ValueError, InvalidSetting):  # set by hand in the UI: nobody was asked for
        stored = {}
    keys = {request.run_key for request in stored.values()}
    succeeded = {key for key in keys if not key or _has_succeeded(instance, key)}
    binding = {}
    for member, request in stored.items():
        if request.run_key in succeeded:
            binding[member] = replace(request, retried_at=None)
        elif now < request.asked_at + RETRY_AFTER:
            binding[member] = replace(request, retried_at=request.asked_at + RETRY_AFTER)
    return binding


def to_cursor(requests: dict[Member, TrainingRequest]) -> str:
    """Return requests as a sensor keeps them."""
    asked = {member.partition_key: one for member, one in requests.items()}
    return CURSOR.dump_json(asked).decode()


def _has_succeeded(instance: dg.DagsterInstance, run_key: str) -> bool:
    filters = dg.RunsFilter(tags={RUN_KEY_TAG: run_key}, statuses=[dg.DagsterRunStatus.SUCCESS])
    return instance.get_runs_count(filters) > 0
