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
from crypto_pool.errors import ModelUnavailable
from crypto_pool.workflow.code_version import code_version
from crypto_pool.workflow.registration import SERVED_METRICS, champion_row


@dataclass(frozen=True)
class Rollback:
    """Which version served, and which serves now."""

    member: Member
    before: str
    after: str


def roll_back(
    store: FrameStore,
    registry: ModelRegistry,
    member: Member,
    to: str | None,
    as_of: date,
    now: datetime,
    reason: str = "by hand",
) -> Rollback:
    """Move the alias to `previous` or a named version; the ledger says so.

    The version left is not promoted again by a build.

    Raises:
        ModelUnavailable: the member has no champion, no previous version, or not that one;
            or the version does not load.
    """
    serving = registry.champion(member.name)
    if serving is None:
        raise ModelUnavailable(
            f"{member.name} has no champion to roll back; `crypto-pool status` lists who serves."
        )
    target = _target(registry, member, to)
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
    store.write("champions", member.partition_key, pd.DataFrame([row]))
    return Rollback(member, serving.version, target.version)


def _target(registry: ModelRegistry, member: Member, to: str | None) -> ChampionRecord:
    if to is not None:
        return registry.version(member.name, to)
    previous = registry.previous(member.name)
    if previous is None:
        raise ModelUnavailable(
            f"{member.name} has no previous version: only one has ever served; "
            "name one with --to VERSION."
        )
    return previous


def _promised(version: ChampionRecord) -> dict[str, Any]:
    return {"promised": {name: json.loads(version.tags[name]) for name in SERVED_METRICS}}
