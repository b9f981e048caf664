"""When a forecast is late, and how moments stand in tables."""

from datetime import UTC, date, datetime, timedelta, timezone

import pandas as pd

from crypto_pool.domain.moments import deadline_of, is_late, naive_utc

DAY = date(2024, 2, 28)


def test_a_forecast_is_late_from_the_second_midnight_after_its_bar_date_on():
    """Its bar closes at the first, so that there is a whole day to make it."""
    midnight = datetime(2024, 3, 1, tzinfo=UTC)
    assert deadline_of(DAY) == midnight - timedelta(microseconds=1)
    for moment, late in (
        (midnight - timedelta(days=1), False),
        (deadline_of(DAY), False),
        (midnight, True),
        (midnight + timedelta(days=1), True),
    ):
        assert is_late(moment, DAY) is late


def test_a_moment_stands_in_a_table_in_utc_without_its_zone():
    noon = datetime(2024, 2, 28, 12, tzinfo=timezone(timedelta(hours=5)))
    told = naive_utc(noon)
    assert (told, told.tz, told.unit) == (pd.Timestamp("2024-02-28 07:00"), None, "us")
