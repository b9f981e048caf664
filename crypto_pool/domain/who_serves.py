"""Who serves a member, and in what state, as the decisions about it say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pandas as pd

from crypto_pool.domain.decisions import APPOINTMENTS, TRAININGS
from crypto_pool.domain.moments import naive_utc

ROLLED_BACK = "rolled back"
ORIGINS_BARRED = 2
_COLUMNS = (
    *("decided_at_utc", "as_of", "decision", "serving_version", "model_version", "model_sha256"),
    "reason",
)


@dataclass(frozen=True)
class Standing:
    """What follows from the decisions about one member.

    `targets` are the versions a rollback may go back to, the latest last, the serving one among
    them; `left` those that a rollback has left and nobody has appointed since. `challenger` is
    the latest version that did not take over. `quarantine` says why the serving version is in
    quarantine; `reason` why the latest decision was taken; `hashes` are those of the files of
    each version that a decision names, as JSON.
    """

    serving: str | None = None
    challenger: str | None = None
    targets: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    quarantine: str = ""
    reason: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, decisions: pd.DataFrame, moment: datetime | None = None) -> "Standing":
        """Read the decisions about one member, oldest first, as far as they were taken by then."""
        end = None if moment is None else naive_utc(moment)
        standing, latest = cls(), None
        columns = [name for name in _COLUMNS if name in decisions]
        for values in zip(*(decisions[name].tolist() for name in columns), strict=True):
            row = dict(zip(columns, values, strict=True))
            if end is not None and row["decided_at_utc"] > end:
                continue
            standing = standing._after(row, is_latest=latest is None or row["as_of"] >= latest)
            latest = row["as_of"] if latest is None else max(latest, row["as_of"])
        return standing

    @property
    def previous(self) -> str | None:
        """The version that served before, unless a rollback has left it."""
        place = self.targets.index(self.serving) if self.serving in self.targets else None
        before = self.targets[:place]
        return before[-1] if before else None

    def _after(self, row: Mapping[Any, Any], is_latest: bool) -> "Standing":
        """Return the standing after one more decision."""
        decision, serving = str(row["decision"]), _text(row["serving_version"])
        about, targets, left = _text(row["model_version"]), self.targets, self.left
        challenger, quarantine = self.challenger, self.quarantine
        model_hashes = _text(row.get("model_sha256"))
        hashes = (
            self.hashes
            if about is None or model_hashes in (None, "{}")
            else {**self.hashes, about: model_hashes}
        )
        if decision in APPOINTMENTS and serving is not None:
            if decision == ROLLED_BACK:
                left += targets[-1:]
                targets = targets[: targets.index(serving) if serving in targets else -1]
            targets = (*(version for version in targets if version != serving), serving)
            left = tuple(version for version in left if version != serving)
            challenger, quarantine = None, ""
        elif decision in TRAININGS and is_latest and about not in (None, serving):
            challenger = about
        if decision == "quarantined":
            quarantine = str(row["reason"])
        if serving is None:
            quarantine = ""
        return Standing(serving, challenger, targets, left, quarantine, str(row["reason"]), hashes)


def is_panel_barred(decisions: pd.DataFrame, origins: Iterable[date], as_of: date) -> bool:
    """Whether a member's `Panel` was quarantined by a day, and no two origins have followed."""
    if decisions.empty:
        return False
    by_panel = (decisions["decision"] == "quarantined") & (decisions["algorithm"] == "Panel")
    condemned = [day for day in decisions.loc[by_panel, "as_of"] if day <= as_of]
    later = {origin for origin in origins if max(condemned, default=as_of) < origin <= as_of}
    return bool(condemned) and len(later) < ORIGINS_BARRED


def _text(value: Any) -> str | None:
    return None if value is None or pd.isna(value) else str(value)
