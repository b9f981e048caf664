"""Moments as the tables hold them."""

from datetime import UTC, date, datetime, time, timedelta

import pandas as pd

SILENT_DAYS = 7  # without a new bar: the coin may have ended
FRESH_DAYS = 1  # the day's job has until the next bar closes


def naive_utc(moment: datetime) -> pd.Timestamp:
    """Give a moment as a column `..._at_utc` holds it: in UTC, in microseconds, without a zone."""
    return pd.Timestamp(moment.astimezone(UTC)).tz_localize(None).as_unit("us")


def deadline_of(bar_date: date) -> datetime:
    """Return the last moment of the day after the bar date: who serves then forecasts that date."""
    return datetime.combine(bar_date + timedelta(days=2), time(), UTC) - timedelta(microseconds=1)


def is_late(moment: datetime, bar_date: date) -> bool:
    """Whether a forecast made then counts apart from the live ones."""
    return moment > deadline_of(bar_date)


def why_stale(bar_date: date, last_closed: date, retired_from: date | None = None) -> str | None:
    """Say how far the last forecast lies back, and the way out; None for one that is fresh.

    Without `retired_from` it is not known whether the coin has left.
    """
    if retired_from is not None and retired_from <= last_closed:
        return (
            f"the coin was retired from {retired_from} on, and its last forecast is from the bar "
            f"of {bar_date}"
        )
    age = (last_closed - bar_date).days
    if age <= FRESH_DAYS:
        return None
    return (
        f"the last forecast is from the bar of {bar_date}, {age} days before the last closed day "
        f"{last_closed}; run `crypto-pool build` or look at the schedule in Dagster, unless the "
        "coin was retired"
    )
