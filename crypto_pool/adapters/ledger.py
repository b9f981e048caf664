"""The ledger of promotions: every decision about who serves, one small file each, append-only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.model_aliases import model_name
from crypto_pool.domain.market import Member
from crypto_pool.domain.moments import naive_utc
from crypto_pool.domain.promotion import APPOINTMENTS, Decision
from crypto_pool.domain.tables import PROMOTIONS
from crypto_pool.errors import CorruptPartition

TABLE = PROMOTIONS.store_name


@dataclass(frozen=True)
class Promotion:
    """One decision; `serving_version` is who serves after it, `model_version` whom it is about.

    `champion_metrics` are those of the version that served before.
    """

    decided_at_utc: datetime
    as_of: date
    member: Member
    model_version: str | None
    algorithm: str | None
    decision: Decision
    serving_version: str | None
    reason: str
    champion_metrics: Mapping[str, object]
    challenger_metrics: Mapping[str, object]
    data_hash: str
    code_version: str
    dagster_run_id: str
    replaced_version: str | None = None

    def key(self) -> str:
        """Its partition: the same decision on the same data has the same key.

        A rollback is an act of its own each time.
        """
        what: list[str] = [
            self.as_of.isoformat(),
            self.data_hash,
            str(self.replaced_version),
            str(self.model_version),
            self.decision,
        ]
        if self.decision == "rolled back":
            what.append(self.decided_at_utc.isoformat())
        return f"{self.member.partition_key}|{sha256(json.dumps(what).encode()).hexdigest()[:20]}"


class Ledger:
    """The table promotions in the frame store."""

    def __init__(self, store: FrameStore) -> None:
        """Use a store; nothing is read before it is needed."""
        self.store = store

    def record(self, promotion: Promotion) -> bool:
        """Add a decision; False if it is there already, which changes nothing.

        It is dated after all that stands about its member: a batch is given its time when it is
        laid out, and somebody may have decided since.
        """
        with self.store.lock(TABLE, promotion.member.partition_key):
            if promotion.decision != "rolled back" and self.store.exists(TABLE, promotion.key()):
                return False
            last = self.of_member(promotion.member)
            if not last.empty:
                after = last["decided_at_utc"].iloc[-1].tz_localize(UTC) + timedelta(microseconds=1)
                decided = max(promotion.decided_at_utc, after.to_pydatetime())
                promotion = replace(promotion, decided_at_utc=decided)
            member = promotion.member
            about = {**vars(member), "model_name": model_name(member.name)}
            row = PROMOTIONS.row(about, vars(promotion))
            self.store.write(TABLE, promotion.key(), PROMOTIONS.frame([row]))
        return True

    def of_member(self, member: Member) -> pd.DataFrame:
        """Give all decisions about a member, oldest first; empty without columns if none."""
        rows = self.store.read_all(TABLE, prefix=f"{member.partition_key}|")
        return rows if rows.empty else _oldest_first(rows).reset_index(drop=True)

    def by_member(self) -> "Decisions":
        """Give all decisions by member, oldest first; the ledger is read once.

        A member of which one cannot be read is not among them: who serves it is not known.
        """
        everything, faults = self.store.read_sound(TABLE)
        decisions = Decisions({_member_of(key): why for key, why in faults.items()})
        if everything.empty:
            return decisions
        for (symbol, trend), rows in _oldest_first(everything).groupby(["symbol", "trend"]):
            member = Member.parse(f"{symbol}|{trend}")
            if member not in decisions.faults:
                decisions[member] = rows.reset_index(drop=True)
        return decisions


class Decisions(dict[Member, pd.DataFrame]):
    """The decisions about each member; `faults` says whose cannot be read, and why."""

    def __init__(self, faults: Mapping[Member, CorruptPartition] | None = None) -> None:
        super().__init__()
        self.faults = dict(faults or {})

    def of(self, member: Member) -> pd.DataFrame:
        """Give those about a member, empty if there are none; raises CorruptPartition."""
        if member in self.faults:
            raise self.faults[member]
        return self.get(member, pd.DataFrame())


def quarantine_reason(decisions: pd.DataFrame, moment: datetime) -> str:
    """Say why the version serving at a moment is quarantined; nothing if it is not."""
    if decisions.empty:
        return ""
    before = decisions[decisions["decided_at_utc"] <= naive_utc(moment)]
    turning = before[before["decision"].isin((*APPOINTMENTS, "quarantined"))]
    if turning.empty or turning["decision"].iloc[-1] != "quarantined":
        return ""
    return str(turning["reason"].iloc[-1])


def serving_version(decisions: pd.DataFrame, moment: datetime) -> str | None:
    """Give the version that served at a moment, by the decisions about one member."""
    if decisions.empty:
        return None
    before = decisions[decisions["decided_at_utc"] <= naive_utc(moment)]
    version = None if before.empty else before["serving_version"].iloc[-1]
    return None if version is None or pd.isna(version) else str(version)


def _member_of(key: str) -> Member:
    return Member.parse("|".join(key.split("|")[:2]))


def _oldest_first(decisions: pd.DataFrame) -> pd.DataFrame:
    return decisions.sort_values("decided_at_utc", kind="stable")
