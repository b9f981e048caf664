"""Pull a coin: ask the provider, validate the bars, join what is stored."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

import pandas as pd

from crypto_pool.adapters.derived import Derived
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.providers import MarketDataProvider, MeteredProvider
from crypto_pool.adapters.pull_plan import PullPlan
from crypto_pool.domain.bar_history import Merge, merge_bars, name_days
from crypto_pool.domain.bar_validation import validate_bars, why_too_young
from crypto_pool.domain.breaks import VOLUME_BARS, volume_breaks
from crypto_pool.domain.indicators import restart_at_breaks
from crypto_pool.domain.moments import SILENT_DAYS, naive_utc
from crypto_pool.domain.recipe import SeriesType
from crypto_pool.errors import (
    BrokenHistory,
    CorruptPartition,
    DailyQuotaExhausted,
    HistoryChanged,
    InsufficientHistory,
    MissingPartition,
)
from crypto_pool.workflow.history import decisions_of, why_blocked
from crypto_pool.workflow.incidents import silent_coins

REPORTS = "bar_reports"
# A bar closes a day after its date, and a week without another is silence.
_SILENCE = pd.Timedelta(days=SILENT_DAYS + 1)


@dataclass(frozen=True)
class Puller:
    """Pulls coins of one provider into one store."""

    store: FrameStore
    provider: MarketDataProvider
    last_closed: date
    now: datetime

    def plan(self, symbols: Sequence[str], with_indicators: bool) -> PullPlan | None:
        """What of a batch fits today's requests; None where nobody counts them."""
        if not isinstance(self.provider, MeteredProvider):
            return None
        last_bars = {symbol: span.last for symbol, span in bar_spans(self.store, symbols).items()}
        return self.provider.plan_pull(symbols, last_bars, with_indicators)

    def pull(self, symbol: str) -> tuple[Merge, tuple[str, ...]]:
        """Pull a coin's bars; give how they joined the stored ones, and all that is to be said.

        What is stored stays whatever happens. Raises ProviderError, InvalidBars, HistoryChanged
        or, with the bars stored, BrokenHistory and InsufficientHistory.
        """
        raw = self.provider.daily_bars(symbol, self.last_closed)
        with self.store.lock("daily_bars", symbol):
            return self._join(symbol, raw)

    def _join(self, symbol: str, raw: pd.DataFrame) -> tuple[Merge, tuple[str, ...]]:
        decided = decisions_of(self.store, symbol)
        if decided.starts_on is not None:
            raw = raw.loc[raw.index >= pd.Timestamp(decided.starts_on)]
        checked = validate_bars(raw, symbol, self.last_closed)
        merge = merge_bars(self.store.find("daily_bars", symbol), checked.bars)
        notes = (*merge.notes(symbol), *_volume_notes(symbol, merge), *self._silence(symbol, merge))
        faults = (*checked.faults.values(), *notes)
        blocked = why_blocked(self.store, symbol, merge.bars, self.last_closed)
        report = self._report(symbol, merge, faults, blocked)
        self.store.write(REPORTS, symbol, report.assign(notes="\n".join(notes)))
        if merge.verdict == "refused":
            raise HistoryChanged(
                f"{symbol}: {merge.reason}; the stored bars stay as they are. If the new history "
                f"is the right one, take it with `crypto-pool restart-history {symbol}`"
            )
        self.store.write("daily_bars", symbol, merge.bars)
        if blocked:
            raise BrokenHistory(blocked)
        young = why_too_young(merge.bars, symbol)
        if young:
            raise InsufficientHistory(young)
        return merge, faults

    def _silence(self, symbol: str, merge: Merge) -> list[str]:
        """Name a coin without a new bar for a week, once for each last bar."""
        silent = silent_coins({symbol: merge.bars.index.max().date()}, self.last_closed)
        if silent and (reports := self.store.find(REPORTS, symbol)) is not None:
            before = reports.iloc[0]
            pulled_late = before["pulled_at_utc"] - before.get("last_bar", pd.NaT)
            if before.get("last_bar") == merge.bars.index.max() and pulled_late > _SILENCE:
                return []
        return [alert.text for alert in silent]

    def provider_indicators(
        self, symbol: str, *, time_period: int, series_type: SeriesType
    ) -> pd.DataFrame:
        """The provider's own indicators, up to a break; for a coin whose bars were pulled today."""
        if not isinstance(self.provider, MeteredProvider):
            raise MissingPartition(
                f"{symbol}: {self.provider.source} has no indicators of its own; "
                "set CRYPTO_POOL_INDICATOR_SOURCE=local"
            )
        if self.provider.requests_needed(symbol, with_indicators=False):
            raise MissingPartition(
                f"{symbol}: its bars of the day were not pulled, so its indicators are not asked "
                "for; materialise daily_bars first"
            )
        return restart_at_breaks(
            self.provider.indicators(symbol),
            self.store.read("daily_bars", symbol),
            decisions_of(self.store, symbol).starts_on,
            time_period=time_period,
            series_type=series_type,
        )

    def _report(
        self, symbol: str, merge: Merge, faults: tuple[str, ...], blocked: str
    ) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "symbol": symbol,
                    "pulled_at_utc": naive_utc(self.now),
                    "source": self.provider.source,
                    "verdict": merge.verdict,
                    "added": merge.added,
                    "restated": len(merge.restated),
                    "restated_days": name_days(merge.restated),
                    "replaced_days": name_days(merge.replaced),
                    "missing": len(merge.missing),
                    "filled": len(merge.filled),
                    "older": merge.older,
                    "reason": merge.reason or blocked,
                    "last_bar": merge.bars.index.max(),
                    "faults": "; ".join(faults),
                }
            ]
        )


def _volume_notes(symbol: str, merge: Merge) -> list[str]:
    """Name where the unit of volume seems to change, while that is news."""
    known = merge.bars if merge.verdict == "first" else merge.bars.tail(3 * VOLUME_BARS)
    return [
        f"{symbol}: {step}, each of {VOLUME_BARS} bars: another unit, or another venue; if so "
        f"correct the source, or `crypto-pool restart-history {symbol} --from {step.day}`"
        for step in volume_breaks(known)
    ]


class BarSpan(NamedTuple):
    """How many bars a coin has, and the last one's date."""

    rows: int
    last: date


def bar_spans(store: FrameStore, symbols: Iterable[str]) -> dict[str, BarSpan]:
    """Return the spans of coins, without those that have no bars or whose bars cannot be read.

    Bars are read where they changed since this was last asked.
    """
    there, kept, made = store.marks("daily_bars"), Derived(store, "bar_spans"), {}
    marks = {symbol: there[symbol] for symbol in symbols if symbol in there}
    known = kept.current(marks)
    for symbol in marks.keys() - known.keys():
        with suppress(CorruptPartition, MissingPartition):
            days = store.read("daily_bars", symbol).index
            if len(days):
                made[symbol] = [len(days), f"{days.max():%Y-%m-%d}"]
    kept.keep(marks, made)
    spans = known | made
    return {s: BarSpan(rows, date.fromisoformat(last)) for s, (rows, last) in spans.items()}


def last_bar(store: FrameStore, symbol: str) -> date | None:
    """The latest stored bar date of a coin."""
    stored = store.find("daily_bars", symbol)
    return None if stored is None else stored.index.max().date()


def bars_until(store: FrameStore, symbol: str, as_of: date) -> int:
    """Return how many bars a coin has up to a day."""
    bars = store.find("daily_bars", symbol)
    return 0 if bars is None else len(bars.loc[: pd.Timestamp(as_of)])


def require_fits(plan: PullPlan | None, symbol: str) -> None:
    """Raise DailyQuotaExhausted for a coin that has to wait for the next day."""
    if plan is not None and symbol in plan.deferred:
        raise DailyQuotaExhausted(f"{symbol} waits: {plan.message}")


def pull_notes(store: FrameStore, symbols: Sequence[str]) -> list[str]:
    """Say of coins how their latest pull differed from what was stored."""
    notes = []
    for symbol in symbols:
        if (reports := store.find(REPORTS, symbol)) is not None:
            notes += str(reports.iloc[0].get("notes") or "").splitlines()
    return notes
