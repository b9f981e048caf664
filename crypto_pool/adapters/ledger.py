"""The ledger of promotions: every decision about who serves, one file a member, append-only."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.mlflow.version import model_name
from crypto_pool.domain.decisions import APPOINTMENTS, Decision
from crypto_pool.domain.members import Member
from crypto_pool.domain.tables import PROMOTIONS
from crypto_pool.errors import CorruptPartition, InvalidSetting

TABLE = PROMOTIONS.store_name


@dataclass(frozen=True)
class Promotion:
    """One decision; `serving_version` is who serves after it, `model_version` whom it is about.

    `champion_metrics` are those of the version that served before, `model_sha256` the hashes of
    the files of the one it is about.
    """

    decided_at_utc: datetime
    as_of: date
    member: Member
    model_version: str | None
    algorithm: str | None
    decision: Decision
    serving_version: str | None
    reason: str
    data_hash: str
    code_version: str
    dagster_run_id: str = ""
    champion_metrics: Mapping[str, object] = field(default_factory=dict)
    challenger_metrics: Mapping[str, object] = field(default_factory=dict)
    model_sha256: Mapping[str, str] = field(default_factory=dict)

    def repeats(self, decisions: pd.DataFrame) -> bool:
        """Whether it is the latest over again, or stands since a version was last appointed.

        A rollback is an act of its own.
        """
        if decisions.empty or self.decision == "rolled back":
            return False
        appointed = decisions["decision"].isin(APPOINTMENTS).to_numpy().nonzero()[0]
        first = min(appointed.max(initial=-1) + 1, len(decisions) - 1)
        names = ("as_of", "data_hash", "model_version", "decision")
        own = [getattr(self, name) for name in names]
        recent = decisions.iloc[first:].to_dict("records")
        return any(
            own == [None if pd.isna(row[name]) else row[name] for name in names] for row in recent
        )


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
        member = promotion.member
        with self.store.lock(TABLE, member.partition_key):
            last = self.of_member(member)
            if promotion.repeats(last):
                return False
            if not last.empty:
                after = last["decided_at_utc"].iloc[-1].tz_localize(UTC) + timedelta(microseconds=1)
                decided = max(promotion.decided_at_utc, after.to_pydatetime())
                promotion = replace(promotion, decided_at_utc=decided)
            about = {**vars(member), "model_name": model_name(member.name)}
            row = PROMOTIONS.row(about, vars(promotion))
            self.store.put_rows(
                TABLE, member.partition_key, PROMOTIONS.frame([row]), PROMOTIONS.key
            )
        return True

    def of_member(self, member: Member) -> pd.DataFrame:
        """Give all decisions about a member, oldest first; empty without columns if none."""
        rows = self.store.read_all(TABLE, prefix=member.partition_key)
        return rows if rows.empty else _oldest_first(rows).reset_index(drop=True)

    def last_version(self, member: Member) -> int:
        """Give the highest version that a decision about a member names, 0 if none does."""
        named = self.of_member(member).get("model_version", pd.Series(dtype=object)).dropna()
        return int(named.astype(int).max()) if len(named) else 0

    def by_member(self) -> "Decisions":
        """Give all decisions by member, oldest first; the ledger is read once.

        A member of which one cannot be read is not among them: who serves it is not known.
        """
        everything, faults = self.store.read_kept(TABLE)
        of_members = {_member_of(key): why for key, why in faults.items()}
        decisions = Decisions({member: why for member, why in of_members.items() if member})
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
        return self[member] if member in self else pd.DataFrame()


def _member_of(key: str) -> Member | None:
    """Return whose file it is; None for a stranger's, which a publication names."""
    try:
        return Member.parse("|".join(key.split("|")[:2]))
    except InvalidSetting:
        return None


def _oldest_first(decisions: pd.DataFrame) -> pd.DataFrame:
    return decisions.sort_values("decided_at_utc", kind="stable")
