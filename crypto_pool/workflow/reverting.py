"""Let an earlier version of a member serve again, by a person's decision."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger, Promotion
from crypto_pool.adapters.model_aliases import ROLLED_BACK_TAG
from crypto_pool.adapters.model_records import ChampionRecord
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.domain.market import Member
from crypto_pool.domain.promotion import APPOINTMENTS
from crypto_pool.domain.tables import CHAMPIONS
from crypto_pool.errors import ModelUnavailable
from crypto_pool.workflow.code_version import code_version
from crypto_pool.workflow.registration import SERVED_METRICS, champion_row


@dataclass(frozen=True)
class Rollback:
    """Which version served, and which serves now."""

    member: Member
    before: str
    after: str

    @property
    def told(self) -> str:
        """What changed in words, and that no stored forecast did."""
        return (
            f"{self.member.name}: version {self.after} serves, version {self.before} does no more. "
            "Stored forecasts stay those of the version that made them; "
            f"version {self.after} makes the next ones."
        )


@dataclass(frozen=True)
class ServiceRecord:
    """The versions a rollback may go back to, the latest last, and those that one has left."""

    stays: tuple[str, ...]
    left: tuple[str, ...]

    @classmethod
    def of(cls, decisions: pd.DataFrame) -> "ServiceRecord":
        """Read the decisions about one member, oldest first.

        A version that a rollback left is in `stays` again once it is appointed anew.
        """
        stays: list[str] = []
        left: list[str] = []
        for row in decisions.to_dict("records"):
            decision, version = row["decision"], str(row["serving_version"])
            if decision not in APPOINTMENTS:
                continue
            if decision == "rolled back":
                left += stays[-1:]
                stays = stays[: stays.index(version) if version in stays else -1]
            stays = [*(other for other in stays if other != version), version]
            left = [other for other in left if other != version]
        return cls(tuple(stays), tuple(left))

    def before(self, serving: str) -> str | None:
        """Name the version that served before another, unless a rollback has left it."""
        place = self.stays.index(serving) if serving in self.stays else len(self.stays)
        return self.stays[place - 1] if place else None


def roll_back(
    store: FrameStore,
    registry: ModelRegistry,
    member: Member,
    to: str | None,
    as_of: date,
    now: datetime,
    reason: str = "by hand",
) -> Rollback:
    """Move the alias to the version before, or to a named one; the ledger says so.

    The version left is not promoted again by a build, and only its name brings it back.

    Raises:
        ModelUnavailable: the member has no champion, no version before it, or not that one;
            or the version does not load.
    """
    serving = registry.champion(member.name)
    if serving is None:
        raise ModelUnavailable(
            f"{member.name} has no champion to roll back; `crypto-pool status` lists who serves."
        )
    if to is None:
        to = _version_before(Ledger(store).of_member(member), member, serving.version)
    target = registry.version(member.name, to)
    if target.version == serving.version:
        raise ModelUnavailable(f"{member.name}: version {target.version} serves already.")
    registry.load(member.name, target.version)
    Ledger(store).record(
        Promotion(
            decided_at_utc=now,
            as_of=as_of,
            member=member,
            model_version=target.version,
            algorithm=target.tags["classifier"],
            decision="rolled back",
            serving_version=target.version,
            reason=f"rolled back from version {serving.version}: {reason}",
            champion_metrics=_promised(serving),
            challenger_metrics=_promised(target),
            data_hash=target.tags["data_hash"],
            code_version=code_version(),
            dagster_run_id="",
            replaced_version=serving.version,
        )
    )
    registry.tag_version(
        member.name, serving.version, {ROLLED_BACK_TAG: now.astimezone(UTC).isoformat()}
    )
    if ROLLED_BACK_TAG in target.tags:
        registry.tag_version(member.name, target.version, {ROLLED_BACK_TAG: ""})
    registry.set_champion(member.name, target.version)
    row = champion_row(target, member, registry.run(target.run_id))
    store.write("champions", member.partition_key, CHAMPIONS.frame([row]))
    return Rollback(member, serving.version, target.version)


def _version_before(decisions: pd.DataFrame, member: Member, serving: str) -> str:
    record = ServiceRecord.of(decisions)
    before = record.before(serving)
    if before is not None:
        return before
    if record.left:
        raise ModelUnavailable(
            f"{member.name}: no version before {serving} is there to return to; "
            f"--to {record.left[-1]} brings back the one that was left."
        )
    raise ModelUnavailable(
        f"{member.name} has no previous version: only one has ever served; "
        "name one with --to VERSION."
    )


def _promised(version: ChampionRecord) -> dict[str, Any]:
    return {"promised": {name: json.loads(version.tags[name]) for name in SERVED_METRICS}}
