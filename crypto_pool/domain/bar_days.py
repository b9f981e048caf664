"""Stamps of daily bars to UTC days: one rule, whatever the source.

The bar of a UTC day is stamped with its first moment, 00:00:00, or its last second, 23:59:59.
Any other time of day is evidence that the bars are of other days, or of no days at all, and is
never rounded away.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd

from crypto_pool.errors import InvalidBars

SECOND = 10**9
DAY = 86_400 * SECOND
_EARLIEST, _LATEST = 1_230_768_000, 4_102_444_800  # 2009 and 2100, in seconds
_EPOCH_UNITS = (1, 10**3, 10**6, 10**9)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.I)
_COMPACT = re.compile(r"(19|20)\d{6}(\.0+)?")
_YEAR_FIRST = re.compile(
    r"(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|(\d{2})(\d{2}))(?:(?:[T ]| +)(.+))?"
)
_NAMED_MONTH = ("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%b %d %Y")
_CLOCK = re.compile(
    r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:[.,](\d{1,9}))?)?"
    r"\s*(Z|UTC|GMT|(?:UTC|GMT)?[+-]\d{2}(?::?\d{2})?)?",
    re.I,
)
_ZONE_ALONE = re.compile(r"Z|UTC|GMT", re.I)
_TWO_DIGITS = re.compile(r"\d{1,2}([/.-])\d{1,2}\1\d{2,4}\b.*")

Place = Callable[[int], str]
"""Names a row by its position, as the reader of the file or answer would find it."""


def bar_days(stamps: Sequence[object], place: Place) -> pd.DatetimeIndex:
    """Return the UTC days of stamps, in their order, as a naive index named `date`.

    A stamp is a text with the year first or the month by name, an epoch in s, ms, us or ns, or
    a date or datetime; one without a zone is taken as UTC. Raises InvalidBars with the place
    of the first stamp that is none, or that stands elsewhere in the day.
    """
    moments = np.array([_named(stamp, place, row) for row, stamp in enumerate(stamps)], np.int64)
    within = moments % DAY
    elsewhere = (within != 0) & (within < DAY - SECOND)
    if elsewhere.any():
        row = int(elsewhere.argmax())
        raise InvalidBars(f"{place(row)}: {str(stamps[row])!r} {_why_elsewhere(moments, row)}")
    return pd.DatetimeIndex((moments // DAY * DAY).astype("datetime64[ns]"), name="date")


def moment_ns(stamp: object) -> int:
    """Return the UTC moment of a stamp in ns since 1970; raises ValueError that says why not."""
    if isinstance(stamp, datetime):  # pandas' timestamps too, whose nanoseconds count
        moment = pd.Timestamp(stamp)
        if pd.isna(moment):
            raise ValueError("is missing")
        return int((moment.tz_convert("UTC") if moment.tzinfo else moment).as_unit("ns").value)
    if isinstance(stamp, date):
        return _begin(stamp)
    if isinstance(stamp, int | float | Decimal) and not isinstance(stamp, bool):
        return _from_number(str(stamp))
    text = "" if stamp is None else str(stamp).strip()
    if _NUMBER.fullmatch(text):
        return _from_number(text)
    return _from_text(text)


def _named(stamp: object, place: Place, row: int) -> int:
    try:
        moment = moment_ns(stamp)
        if not _EARLIEST <= moment // SECOND < _LATEST:
            raise ValueError("is not of 2009 to 2100")
        return moment
    except (ValueError, ArithmeticError) as fault:  # also pandas' bounds, and a number that is none
        why = str(fault) if type(fault) is ValueError else "is no date of daily bars"
        raise InvalidBars(
            f"{place(row)}: {'' if stamp is None else str(stamp)!r} {why}; write days as YYYY-MM-DD"
        ) from None


def _from_number(text: str) -> int:
    if _COMPACT.fullmatch(text):
        return _day(int(text[:4]), int(text[4:6]), int(text[6:8]))
    number = Decimal(text)
    for unit in _EPOCH_UNITS:
        if _EARLIEST * unit <= number < _LATEST * unit:
            return int(number * (SECOND // unit))
    raise ValueError("is not a date, nor an epoch of 2009 to 2100 in s, ms, us or ns")


def _from_text(text: str) -> int:
    match = _YEAR_FIRST.fullmatch(text)
    if match:
        year, _, month, day, other_month, other_day, rest = match.groups()
        whole = _day(int(year), int(month or other_month), int(day or other_day))
        return whole + _within_day(rest)
    if _TWO_DIGITS.fullmatch(text):
        raise ValueError("is not a date that tells day and month apart")
    for form in _NAMED_MONTH:
        try:
            return _begin(datetime.strptime(text, form).date())
        except ValueError:
            continue
    raise ValueError("is missing" if not text else "is not a date")


def _within_day(clock: str | None) -> int:
    """Return the ns since the day's begin that a clock with its zone adds."""
    if clock is None or _ZONE_ALONE.fullmatch(clock.strip()):
        return 0
    match = _CLOCK.fullmatch(clock.strip())
    if not match:
        raise ValueError("is not a date")
    hours, minutes, seconds, fraction, zone = match.groups()
    within = (int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0)) * SECOND
    return within + int((fraction or "").ljust(9, "0")) - _offset_ns(zone)


def _offset_ns(zone: str | None) -> int:
    digits = re.sub(r"[^\d]", "", zone or "").ljust(4, "0")
    size = (int(digits[:2]) * 60 + int(digits[2:])) * 60 * SECOND
    return -size if zone and "-" in zone else size


def _day(year: int, month: int, day: int) -> int:
    try:
        return _begin(date(year, month, day))
    except ValueError:
        raise ValueError("is no day of the calendar") from None


def _begin(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY


def _why_elsewhere(moments: np.ndarray, row: int) -> str:
    """Say what bars with a time of day are: parts of days, or of days that begin elsewhere."""
    steps = np.diff(np.unique(moments))
    step = int(np.median(steps)) if len(steps) else DAY
    begins = f"{pd.Timestamp(int(moments[row])):%H:%M:%S} UTC"
    if step < DAY - 3600 * SECOND:
        every = f"{step / (3600 * SECOND):g} hours" if step >= 3600 * SECOND else "few minutes"
        return (
            f"stands at {begins}: these are intraday bars, one every {every}; "
            "give one bar a day, of the whole UTC day"
        )
    return (
        f"stands at {begins}: the bars are not of UTC days, and cannot be made so; give daily "
        "bars that begin at 00:00 UTC (another zone's midnight is no day boundary here)"
    )
