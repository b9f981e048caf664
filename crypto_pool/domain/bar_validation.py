"""Daily bars, and which of them are refused."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from crypto_pool.errors import InsufficientHistory, InvalidBars, UnfitBars

BAR_COLUMNS = ("open", "high", "low", "close", "volume")
PRICE_COLUMNS = ("open", "high", "low", "close")
NAMED_DATES = 3
NO_NUMBER = "a value is missing or infinite"
IMPOSSIBLE = (
    "high or low do not bound open and close, a price is not above 0, or volume is negative"
)
STANDSTILL_DAYS = 60
FORECAST_BARS = 120  # from so many on a coin is forecast


@dataclass(frozen=True)
class ValidatedBars:
    """Bars fit for use, and in words by its kind every fault found on the way.

    Rows that are unfinished, non_finite or impossible were left out; order and duplicate were
    repaired without loss; gap and zero_volume are noted alone.
    """

    bars: pd.DataFrame
    faults: Mapping[str, str]


def validate_bars(bars: pd.DataFrame, symbol: str, last_closed: date) -> ValidatedBars:
    """Validate daily bars; the frame given is left as it was.

    A refused row becomes a missing day; missing days are noted, never filled.
    Raises InvalidBars for missing columns, what is no number, an unusable index or two different
    bars of one day; InsufficientHistory where none is left, or rows that are refused leave fewer
    than FORECAST_BARS, or days that do not follow each other; and UnfitBars for bars of weeks, and
    where volume or price stand still.
    """
    clean = _with_bar_dates(_with_float_columns(bars, symbol), symbol)
    faults: dict[str, str] = {}

    for kind, why, unfit in _unfit_rows(clean, last_closed):
        rows = unfit & ~clean["refused"].to_numpy(dtype=bool)
        if rows.any():
            faults[kind] = _fault(symbol, kind, clean.index[rows], why)
            clean["refused"] |= rows
    refused = clean.loc[clean["refused"] & (clean.index <= pd.Timestamp(last_closed))]
    clean = clean.loc[~clean["refused"], list(BAR_COLUMNS)]

    if not clean.index.is_monotonic_increasing:
        late = clean.index < clean.index.to_series().cummax().to_numpy()
        faults["order"] = _fault(symbol, "order", clean.index[late], "sorted by date")
        clean = clean.sort_index(kind="stable")
    clean = _without_duplicates(clean, symbol, faults)

    for kind, days, why in (
        ("gap", missing_days(clean.index), "days without a bar, never filled"),
        ("zero_volume", clean.index[clean["volume"] == 0], "no volume, bar kept"),
    ):
        if len(days):
            faults[kind] = _fault(symbol, kind, days, why)
    _require_days(clean.index.union(refused.index), symbol)
    is_torn = _days_apart(clean.index) > 1
    if clean.empty or is_torn or len(clean) < FORECAST_BARS <= len(clean) + len(refused):
        why = faults.get("unfinished", f"{symbol}: the source has no bars")
        raise InsufficientHistory(
            f"{why if refused.empty else _why_refused(refused, symbol)}; that leaves {len(clean)} "
            f"usable bars up to {last_closed}, at least {FORECAST_BARS} are needed, day by day: "
            "correct the source, or the clock"
        )
    _require_movement(clean, symbol)
    return ValidatedBars(clean, faults)


def why_too_young(bars: pd.DataFrame, symbol: str, needed: int = FORECAST_BARS) -> str:
    """Say from which day on bars will be enough for a forecast; empty if they are, or none is."""
    if bars.empty or len(bars) >= needed:
        return ""
    day = bars.index[-1] + pd.Timedelta(days=needed - len(bars))
    return (
        f"{symbol}: {len(bars)} usable bars up to {bars.index[-1]:%Y-%m-%d}, at least {needed} are "
        f"needed (on {day:%Y-%m-%d} there will be enough); wait, or give more history"
    )


def missing_days(index: pd.Index) -> pd.DatetimeIndex:
    """Give the calendar days between the first and the last date that the index lacks."""
    if len(index) == 0:
        return pd.DatetimeIndex([])
    return pd.date_range(index.min(), index.max(), freq="D").difference(pd.DatetimeIndex(index))


def has_unbroken_days(index: pd.DatetimeIndex, days: int) -> np.ndarray:
    """Say for each date of an ascending index whether it and the `days - 1` before are there."""
    unbroken = np.zeros(len(index), dtype=bool)
    if len(index) >= days:
        first = index[: len(index) - days + 1]
        unbroken[days - 1 :] = (index[days - 1 :] - first) == pd.Timedelta(days=days - 1)
    return unbroken


def _require_days(days: pd.Index, symbol: str) -> None:
    """Raise UnfitBars for bars that are regularly further apart than a day."""
    step = _days_apart(days)
    if step > 1:
        kind = {7: "weekly "}.get(step, "monthly " if 28 <= step <= 31 else "")
        raise UnfitBars(
            f"{symbol}: these are {kind}bars, one every {step} days; give one bar for each UTC day"
        )


def _days_apart(days: pd.Index) -> int:
    """Return how far apart bars are regularly; 1 where they are too few to say."""
    return int(days.to_series().diff().dt.days.median()) if len(days) >= 3 else 1


def _require_movement(bars: pd.DataFrame, symbol: str) -> None:
    """Raise UnfitBars where the latest bars have no volume at all, or one price alone."""
    latest = bars.tail(STANDSTILL_DAYS)
    if len(latest) < STANDSTILL_DAYS:
        return
    since = f"in the {STANDSTILL_DAYS} bars since {latest.index[0]:%Y-%m-%d}"
    if (bars["volume"] == 0).all() or (latest["volume"] == 0).all():
        since = f"in all {len(bars)} bars" if (bars["volume"] == 0).all() else since
        raise UnfitBars(
            f"{symbol}: volume is 0 {since}; the volume indicators say nothing without it: "
            "give bars with their volume, or take the coin out of CRYPTO_POOL_SYMBOLS"
        )
    if latest[list(PRICE_COLUMNS)].nunique().max() == 1:
        since = f"in all {len(bars)} bars" if bars["close"].nunique() == 1 else since
        raise UnfitBars(
            f"{symbol}: the price is constant, {latest['close'].iloc[-1]:g} {since}; there is "
            "nothing to forecast: correct the source, or take the coin out of CRYPTO_POOL_SYMBOLS"
        )


def _why_refused(refused: pd.DataFrame, symbol: str) -> str:
    """Say by what the rows that were refused are unfit."""
    counts = {name: int(refused[name].isna().sum()) for name in BAR_COLUMNS}
    missing = [f"{name} is missing in {rows} rows" for name, rows in counts.items() if rows]
    return f"{symbol}: " + (
        ", ".join(missing) or f"{len(refused)} rows are impossible: {IMPOSSIBLE}"
    )


def _with_float_columns(bars: pd.DataFrame, symbol: str) -> pd.DataFrame:
    wrong = [column for column in BAR_COLUMNS if list(bars.columns).count(column) != 1]
    if wrong:
        raise InvalidBars(
            f"{symbol}: bars lack {', '.join(wrong)}, or have it twice; needed: {BAR_COLUMNS}"
        )
    try:
        return bars.loc[:, list(BAR_COLUMNS)].astype(float)
    except (TypeError, ValueError) as error:
        raise InvalidBars(f"{symbol}: bars hold something that is no number: {error}") from error


def _with_bar_dates(bars: pd.DataFrame, symbol: str) -> pd.DataFrame:
    index = bars.index
    if not isinstance(index, pd.DatetimeIndex):
        raise InvalidBars(f"{symbol}: bars are indexed by {index.dtype}, needed: UTC bar dates")
    if index.tz is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    if index.hasnans:
        raise InvalidBars(f"{symbol}: {int(np.sum(index.isna()))} bars have no date")
    if not index.equals(index.normalize()):
        raise InvalidBars(f"{symbol}: bar times within the day, needed: one daily bar at 00:00 UTC")
    return bars.set_axis(index.rename("date")).assign(refused=False)


def are_days(moments: np.ndarray) -> bool:
    """Whether these are whole days, each later than the one before."""
    is_whole = moments == moments.astype("datetime64[D]")
    return bool(is_whole.all() and (moments[1:] > moments[:-1]).all())


def impossible_bars(values: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Give kind, words and rows of what no bar may hold; the columns are BAR_COLUMNS."""
    prices = values[:, : len(PRICE_COLUMNS)]
    yield "non_finite", NO_NUMBER, ~np.isfinite(values).all(axis=1)
    yield (
        "impossible",
        IMPOSSIBLE,
        (values[:, 1] < prices.max(axis=1))
        | (values[:, 2] > prices.min(axis=1))
        | (prices <= 0).any(axis=1)
        | (values[:, -1] < 0),
    )


def _unfit_rows(bars: pd.DataFrame, last_closed: date) -> Iterator[tuple[str, str, np.ndarray]]:
    yield (
        "unfinished",
        f"the day had not ended, last closed day is {last_closed}",
        np.asarray(bars.index > pd.Timestamp(last_closed)),
    )
    yield from impossible_bars(bars[list(BAR_COLUMNS)].to_numpy())


def _without_duplicates(bars: pd.DataFrame, symbol: str, faults: dict[str, str]) -> pd.DataFrame:
    if bars.index.is_unique:
        return bars
    once = bars.loc[~bars.reset_index().duplicated().to_numpy()]
    conflicts = once.index[once.index.duplicated()].unique()
    if len(conflicts):
        raise InvalidBars(
            f"{symbol}: different bars for one day on {name_dates(conflicts)}; "
            + (
                "as on most days: these are intraday bars, give one bar for each UTC day"
                if 2 * len(conflicts) > once.index.nunique()
                else "no repair can tell which is true, correct the source"
            )
        )
    repeated = bars.index[bars.index.duplicated()].unique()
    faults["duplicate"] = _fault(symbol, "duplicate", repeated, "same bar twice, kept once")
    return once


def _fault(symbol: str, kind: str, dates: pd.Index, why: str) -> str:
    return f"{symbol}: {kind} on {name_dates(dates.unique())}: {why}"


def name_dates(dates: pd.Index) -> str:
    """Name the first days, and how many more there are."""
    named = ", ".join(f"{day:%Y-%m-%d}" for day in dates[:NAMED_DATES])
    more = len(dates) - NAMED_DATES
    return f"{named} and {more} more" if more > 0 else named
