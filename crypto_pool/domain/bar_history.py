"""How newly pulled bars join the stored ones, without a changed past slipping in.

Indicators depend on where the history starts and on every bar since. So what is stored stays:
the first day never moves, no day goes, and no stored value is overwritten but those of the latest
two days, which a source may have given before they were final. What the provider now says
otherwise is reported; if it is so much that the new bars belong to another history, the
pull is refused as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd

from crypto_pool.domain.bar_validation import BAR_COLUMNS, PRICE_COLUMNS, missing_days

TOLERANCE = 1e-4
"""Relative difference of a price or volume that is more than rounding: 0.01 %."""
LARGEST_LEVEL_SHIFT = 0.01
"""Median difference of the closes beyond which the bars are on another scale."""
LARGEST_RESTATED_SHARE = 0.10
FEWEST_RESTATED_DAYS = 5
"""So few restated days are never another history, however short the overlap."""
LARGEST_VOLUME_RATIO = 2.0
"""Median ratio of volumes beyond which they were traded at another venue."""
FEWEST_COMPARED_DAYS = 20
"""Days in common that a median is taken over."""

REPLACEABLE_DAYS = 2
"""Latest stored days that the next pull may replace."""

NAMED_DAYS = 30

MergeStatus = Literal["first", "unchanged", "replaced", "extended", "restated", "refused"]


@dataclass(frozen=True)
class Merge:
    """The bars to store, and how the pull differs from what was stored.

    `refused`: `bars` are the stored ones, and `reason` says why nothing was taken.
    `restated`: stored days the provider now gives other values for; the stored ones stay.
    `replaced`: of the latest two stored days, those with other values now; they are taken.
    `missing`: stored days within the pull's span that it lacks; they stay.
    `filled`: days missing in the stored history that the pull has; they are taken.
    `older`: pulled days before the stored history begins; they are left out.
    `notes`: all of it in words, with the ways out.
    """

    bars: pd.DataFrame
    verdict: MergeStatus
    added: int = 0
    restated: tuple[date, ...] = ()
    replaced: tuple[date, ...] = ()
    missing: tuple[date, ...] = ()
    filled: tuple[date, ...] = ()
    older: int = 0
    older_span: str = ""
    reason: str = ""

    def notes(self, symbol: str) -> list[str]:
        """Say by day how the pull differs from what was stored."""
        differences = {
            "restated by the source; the stored values stay": self.restated,
            "among the latest two stored days: replaced by what the source gives now": (
                self.replaced
            ),
            "no longer given by the source; the stored bars stay": self.missing,
            "missing until now: filled": self.filled,
        }
        notes = [
            f"{symbol}: {name_days(days)} {what}" for what, days in differences.items() if days
        ]
        if self.older:
            notes.append(
                f"{symbol}: {self.older} older days, {self.older_span}, are "
                f"left out: `crypto-pool restart-history {symbol}` takes them"
            )
        return notes


def merge_bars(stored: pd.DataFrame | None, pulled: pd.DataFrame) -> Merge:
    """Join validated pulled bars to the stored ones; both ascending by unique date."""
    if stored is None or stored.empty:
        return Merge(pulled, "first", added=len(pulled))
    common = stored.index.intersection(pulled.index)
    if common.empty:
        return Merge(stored, "refused", reason=_no_overlap(stored, pulled))
    before, now = stored.loc[common], pulled.loc[common]
    differs = _largest_difference(before, now, BAR_COLUMNS) > TOLERANCE
    is_latest = common.isin(stored.index[-REPLACEABLE_DAYS:])
    restated = _days(common[differs & ~is_latest])
    reason = _another_history(before, now)
    if reason:
        return Merge(stored, "refused", restated=restated, reason=reason)

    replaced = common[differs & is_latest]
    later = pulled.index[pulled.index > stored.index.max()]
    filled = missing_days(stored.index).intersection(pd.DatetimeIndex(pulled.index))
    spanned = stored.index[(stored.index >= pulled.index.min())]
    older = pulled.index[pulled.index < stored.index.min()]
    new = later.union(filled)
    taken = pulled.loc[pulled.index.isin(new.union(replaced)), stored.columns]
    kept = stored.drop(replaced)
    return Merge(
        bars=pd.concat([kept, taken]).sort_index() if len(taken) else stored,
        verdict=_verdict(restated, new, replaced),
        added=len(later),
        restated=restated,
        replaced=_days(replaced),
        missing=_days(spanned.difference(pulled.index)),
        filled=_days(filled),
        older=len(older),
        older_span=_span(older) if len(older) else "",
    )


def _verdict(restated: Sequence[date], new: pd.Index, replaced: pd.Index) -> MergeStatus:
    if restated:
        return "restated"
    if len(new):
        return "extended"
    return "replaced" if len(replaced) else "unchanged"


def name_days(days: Sequence[date]) -> str:
    """Name days one by one, and how many more there are than anybody would read."""
    more = len(days) - NAMED_DAYS
    return ", ".join(map(str, days[:NAMED_DAYS])) + (f" and {more} more" if more > 0 else "")


def _no_overlap(stored: pd.DataFrame, pulled: pd.DataFrame) -> str:
    return (
        f"the stored bars run from {_span(stored.index)}, the pulled ones from "
        f"{_span(pulled.index)}: with no day in common nothing shows that they are one history"
    )


def _another_history(before: pd.DataFrame, now: pd.DataFrame) -> str:
    """Why the pull is another history, empty if it is the same."""
    days = len(before)
    level = float((now["close"] / before["close"]).median())
    if abs(level - 1) > LARGEST_LEVEL_SHIFT:
        return (
            f"over {days} days in common the closes are now {level:.4g} times the stored ones: "
            "another coin under the old name, a redenomination or another venue"
        )
    changed = int((_largest_difference(before, now, PRICE_COLUMNS) > TOLERANCE).sum())
    allowed = max(FEWEST_RESTATED_DAYS, int(LARGEST_RESTATED_SHARE * days))
    if changed > allowed:
        return (
            f"prices of {changed} of {days} days in common are restated, "
            f"at most {allowed} are tolerated: another venue or a rewritten past"
        )
    traded = (before["volume"] > 0) & (now["volume"] > 0)
    if int(traded.sum()) >= FEWEST_COMPARED_DAYS:
        volume = float((now["volume"] / before["volume"])[traded].median())
        if not 1 / LARGEST_VOLUME_RATIO <= volume <= LARGEST_VOLUME_RATIO:
            return (
                f"over {int(traded.sum())} days in common the volumes are now {volume:.4g} times "
                "the stored ones: another venue, or volume in another unit"
            )
    return ""


def _largest_difference(
    before: pd.DataFrame, now: pd.DataFrame, columns: Sequence[str]
) -> np.ndarray:
    then, today = (frame[list(columns)].to_numpy(dtype=float) for frame in (before, now))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(then == today, 0.0, np.abs(today / then - 1)).max(axis=1))


def _days(index: pd.Index) -> tuple[date, ...]:
    return tuple(pd.Timestamp(day).date() for day in index)


def _span(index: pd.Index) -> str:
    return f"{index.min():%Y-%m-%d} to {index.max():%Y-%m-%d}"
