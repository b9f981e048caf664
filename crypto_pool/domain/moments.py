"""Moments as the tables hold them."""

from datetime import UTC, date, datetime, time, timedelta

import pandas as pd


def naive_utc(moment: datetime) -> pd.Timestamp:
    """Give a moment as a column `..._at_utc` holds it: in UTC, in microseconds, without a zone."""
    return pd.Timestamp(moment.astimezone(UTC)).tz_localize(None).as_unit("us")


def deadline_of(bar_date: date) -> datetime:
    """Return the last moment of the day after the bar date: who serves then forecasts that date."""
    return datetime.combine(bar_date + timedelta(days=2), time(), UTC) - timedelta(microseconds=1)


def is_late(moment: datetime, bar_date: date) -> bool:
    """Whether a forecast made then counts apart from the live ones."""
    return moment > deadline_of(bar_date)
