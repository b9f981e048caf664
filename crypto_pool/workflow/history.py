"""What people have decided about a coin's history: breaks accepted, a new start, its end.

The decisions lie in the frame store, one partition a coin, and are only ever added to; what
holds is the latest of its kind. Breaks and blocks are found in the bars again at each use.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.bar_validation import missing_days
from crypto_pool.domain.breaks import first_break, level_breaks
from crypto_pool.domain.moments import naive_utc
from crypto_pool.domain.panel_features import CoinBreaks
from crypto_pool.errors import BrokenHistory, InvalidSetting
from crypto_pool.workflow.panel import drop_forecasts

DECISIONS = "history_decisions"
REPLACED = "replaced_bars"
Decision = Literal["accept_break", "start", "retire"]


@dataclass(frozen=True)
class HistoryDecisions:
    """What holds for a coin: accepted breaks, the first day of its history, its end."""

    accepted: tuple[date, ...] = ()
    starts_on: date | None = None
    retired_from: date | None = None


def decisions_of(store: FrameStore, symbol: str) -> HistoryDecisions:
    """Return what was decided about a coin, nothing if nothing was."""
    decisions = store.find(DECISIONS, symbol)
    if decisions is None:
        return HistoryDecisions()
    rows = decisions.sort_values("decided_at_utc", kind="stable")
    days = {kind: list(part["day"]) for kind, part in rows.groupby("decision")}

    def latest(kind: Decision) -> date | None:
        day = days.get(kind, [None])[-1]
        return None if day is None or pd.isna(day) else pd.Timestamp(day).date()

    return HistoryDecisions(
        tuple(sorted({pd.Timestamp(day).date() for day in days.get("accept_break", [])})),
        latest("start"),
        latest("retire"),
    )


def coin_breaks(store: FrameStore) -> dict[str, CoinBreaks]:
    """Return the breaks of each stored coin that has any, as the panel takes them."""
    breaks = {}
    stored, _ = store.read_each("daily_bars")  # the panel names what is damaged
    for symbol, bars in stored.items():
        days = tuple(one.day for one in level_breaks(bars))
        if days:
            blocked = first_break(bars, decisions_of(store, symbol).accepted)
            breaks[symbol] = CoinBreaks(days, blocked.day if blocked else None)
    return breaks


def why_blocked(store: FrameStore, symbol: str, bars: pd.DataFrame, as_of: date) -> str:
    """Say what blocks a coin on a day, and the ways out; empty if nothing does."""
    known = bars.loc[: pd.Timestamp(as_of)]
    if not level_breaks(known):
        return ""
    first = first_break(known, decisions_of(store, symbol).accepted)
    if first is None:
        return ""
    return (
        f"{symbol} is blocked from {first.day} on: {first}, a redenomination, another unit or "
        f"another coin. If they are one history, `crypto-pool accept-break {symbol} {first.day}`; "
        f"if not, `crypto-pool restart-history {symbol} --from {first.day}`"
    )


def require_unbroken(store: FrameStore, symbol: str, bars: pd.DataFrame, as_of: date) -> None:
    """Raise BrokenHistory if a level break that nobody has accepted lies up to a day."""
    reason = why_blocked(store, symbol, bars, as_of)
    if reason:
        raise BrokenHistory(reason)


def accept_break(store: FrameStore, symbol: str, day: date, now: datetime) -> None:
    """Take a level break as part of one history; raises InvalidSetting if there is none that day.

    Indicators, labels and volatility start anew there all the same.
    """
    days = [one.day for one in level_breaks(store.read("daily_bars", symbol))]
    if day not in days:
        known = ", ".join(map(str, days)) or "none"
        raise InvalidSetting(f"{symbol} has no level break on {day}; its breaks: {known}")
    if day not in decisions_of(store, symbol).accepted:
        _decide(store, symbol, "accept_break", day, now)


def restart_history(
    store: FrameStore, symbol: str, now: datetime, first: date | None = None
) -> int:
    """Set a coin's stored bars aside, all or those before a day; return how many those are.

    They stay in the store, as `replaced_bars`. Without a day the next pull begins the history anew;
    with one it goes on, and never takes an earlier day again. The coin's forecasts by the
    panel are made anew. Raises MissingPartition, or InvalidSetting for a day without later bars.
    """
    with store.lock("daily_bars", symbol):
        count = _set_aside(store, symbol, now, first)
    drop_forecasts(store, symbol)
    return count


def _set_aside(store: FrameStore, symbol: str, now: datetime, first: date | None) -> int:
    bars = store.read("daily_bars", symbol)
    aside = bars if first is None else bars.loc[bars.index < pd.Timestamp(first)]
    kept = bars.loc[bars.index.difference(aside.index)]
    if first is not None and kept.empty:
        raise InvalidSetting(
            f"{symbol} has no bar from {first} on, its last is {bars.index[-1]:%Y-%m-%d}; "
            "choose an earlier day, or leave --from out to take all from the source anew"
        )
    store.write(REPLACED, f"{symbol}|{now:%Y%m%dT%H%M%S}", aside)
    _decide(store, symbol, "start", first, now)
    if first is None:
        store.remove("daily_bars", symbol)
    else:
        store.write("daily_bars", symbol, kept)
    return len(aside)


def retire(store: FrameStore, symbol: str, first: date | None, now: datetime) -> date | None:
    """Take a coin out of pulls, checks and forecasts from a day on; None brings it back.

    What is stored stays, and still teaches the panel. Said twice it is one. Raises InvalidSetting
    for a day before its bars begin.
    """
    if first is not None and store.exists("daily_bars", symbol):
        begins = store.read("daily_bars", symbol).index.min().date()
        if first <= begins:
            raise InvalidSetting(
                f"{symbol} has no bar before {first}, its first is {begins}; name a later day, or "
                "take it out of CRYPTO_POOL_SYMBOLS"
            )
    if decisions_of(store, symbol).retired_from != first:
        _decide(store, symbol, "retire", first, now)
    return first


def day_after_last_bar(store: FrameStore, symbol: str) -> date:
    """Return the day after a coin's last stored bar; raises MissingPartition without any."""
    last: date = store.read("daily_bars", symbol).index.max().date()
    return last + timedelta(days=1)


def active_symbols(store: FrameStore, symbols: Iterable[str], as_of: date) -> list[str]:
    """Return the coins that are not retired on a day."""
    known, decided = list(symbols), set(store.keys(DECISIONS))
    ended = retired_from(store, decided.intersection(known))
    return [symbol for symbol in known if as_of < ended.get(symbol, date.max)]


def retired_from(store: FrameStore, symbols: Iterable[str]) -> Mapping[str, date]:
    """Return since when coins are retired, those that are."""
    days = {symbol: decisions_of(store, symbol).retired_from for symbol in symbols}
    return {symbol: day for symbol, day in days.items() if day is not None}


def name_gap(bars: pd.DataFrame, day: date, days: int, what_begins: str) -> str:
    """Name the missing day less than so many days before a bar date; empty if there is none."""
    gaps = missing_days(bars.loc[: pd.Timestamp(day)].index)
    again = gaps[-1] + pd.Timedelta(days=days) if len(gaps) else pd.Timestamp(day)
    if pd.Timestamp(day) >= again:
        return ""
    return (
        f"{gaps[-1]:%Y-%m-%d} is missing; {what_begins} again {days} days after it, "
        f"on {again:%Y-%m-%d}"
    )


def _decide(
    store: FrameStore, symbol: str, decision: Decision, day: date | None, now: datetime
) -> None:
    made = pd.DataFrame(
        {
            "decision": [decision],
            "day": pd.Series([day], dtype="datetime64[ns]"),
            "decided_at_utc": [naive_utc(now)],
        }
    )
    with store.lock(DECISIONS, symbol):
        store.put_rows(DECISIONS, symbol, made, ("decision", "decided_at_utc"))
