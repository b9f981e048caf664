"""Moments as the tables hold them."""

from datetime import UTC, datetime

import pandas as pd


def naive_utc(moment: datetime) -> pd.Timestamp:
    """Give a moment as a column `..._at_utc` holds it: in UTC, in microseconds, without a zone."""
    return pd.Timestamp(moment.astimezone(UTC)).tz_localize(None).as_unit("us")
