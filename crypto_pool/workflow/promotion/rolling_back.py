"""Let an earlier version of a member serve again, by a person's decision or a review's."""

from dataclasses import dataclass
from datetime import date, datetime

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger, Promotion
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.domain.members import Member
from crypto_pool.domain.tables import CHAMPIONS
from crypto_pool.domain.who_serves import Standing
from crypto_pool.errors import ModelUnavailable
from crypto_pool.workflow.code_version import code_version
from crypto_pool.workflow.promotion.reconciling import champion_of, reconcile, version_of
from crypto_pool.workflow.promotion.registering import measured
from crypto_pool.workflow.snapshots import load_snapshot


@dataclass(frozen=True)
class Rollback:
    """Which version served, and which serves now."""

    member: Member
    before: str
    after: str

    @property
    def summary(self) -> str:
        """What changed in words, and that no stored forecast did."""
        return (
            f"{self.member.name}: version {self.after} serves, version {self.before} does no more. "
            "Stored forecasts stay those of the version that made them; "
            f"version {self.after} makes the next ones."
        )


def roll_back(
    store: FrameStore,
    registry: ModelRegistry,
    member: Member,
    to: str | None,
    as_of: date,
    now: datetime,
    reason: str = "by hand",
) -> Rollback:
    """Let the version before serve, or a named one: one line of the ledger, which all follow.

    The version left is not promoted again by a build, and only its name brings it back.

    Raises:
        ModelUnavailable: the member has no champion, no version before it, or not that one;
            or the version does not load, or lacks the rows of its training.
    """
    with store.lock(CHAMPIONS.store_name, member.partition_key):
        champion = champion_of(registry, member, Ledger(store).of_member(member))
        serving = champion.standing.serving
        if serving is None:
            raise ModelUnavailable(
                f"{member.name} has no champion to roll back; `crypto-pool status` says who serves."
            )
        wanted = to or _version_before(champion.standing, member)
        try:
            target = version_of(registry, member, champion.standing, wanted)
            load_snapshot(store, target.tags["data_hash"])
        except ModelUnavailable as fault:
            raise ModelUnavailable(f"{member.name}: version {wanted} {fault}") from fault
        if target.version == serving and not champion.fault:
            raise ModelUnavailable(f"{member.name}: version {target.version} serves already.")
        registry.versions.load(member.name, target.version, target.ledger_hashes)
        left = None if champion.version is None else measured(registry, champion.version)
        Ledger(store).record(
            Promotion(
                decided_at_utc=now,
                as_of=as_of,
                member=member,
                model_version=target.version,
                algorithm=target.tags["classifier"],
                decision="rolled back",
                serving_version=target.version,
                reason=f"rolled back from version {serving}: {reason}",
                champion_metrics={} if left is None else {"promised": left},
                challenger_metrics={"promised": measured(registry, target)},
                data_hash=target.tags["data_hash"],
                code_version=code_version(),
                model_sha256=target.model_hashes,
            )
        )
        reconcile(store, registry, member)
        return Rollback(member, serving, target.version)


def _version_before(standing: Standing, member: Member) -> str:
    if standing.previous is not None:
        return standing.previous
    if standing.left:
        raise ModelUnavailable(
            f"{member.name}: no version before {standing.serving} is there to return to; "
            f"--to {standing.left[-1]} brings back the one that was left."
        )
    raise ModelUnavailable(
        f"{member.name} has no previous version: only one has ever served; "
        "name one with --to VERSION."
    )
