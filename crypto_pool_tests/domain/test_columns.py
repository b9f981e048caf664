"""Rows as tables store them."""

import json
import math
from datetime import UTC, date, datetime

import pandas as pd
import pytest

from crypto_pool.domain.columns import BOOLEAN, DATE, DOUBLE, INTEGER, JSON, TIMESTAMP, VARCHAR
from crypto_pool.domain.columns import Table as StoredTable
from crypto_pool.domain.tables import TABLES
from crypto_pool.errors import InvalidRows

TABLE = StoredTable(
    "weather",
    "Weather by place and day.",
    (
        VARCHAR("place", "Place."),
        DATE("day", "Day."),
        DOUBLE("rain", "Chance of rain.", 0, 1),
        INTEGER("stations", "Stations."),
        BOOLEAN("measured", "Measured, not guessed."),
        JSON("notes", "Notes."),
        TIMESTAMP("seen_at_utc", "Seen."),
    ),
    key=("place", "day"),
    partitioned_by=("day",),
)
ROW = {"place": "Ulm", "day": date(2024, 1, 31), "rain": 0.25}


def test_a_row_takes_each_column_from_the_first_source_that_has_it():
    """Text, as tags hold it, becomes the column's type; what is not a column is left out."""
    tags = {"day": "2024-01-31", "rain": "0.25", "stations": "3", "measured": "false", "hat": "x"}
    seen = datetime(2024, 2, 1, 1, tzinfo=UTC)
    row = TABLE.row({"place": "Ulm", "rain": None, "seen_at_utc": seen}, tags)
    assert row == {
        "place": "Ulm",
        "day": date(2024, 1, 31),
        "rain": None,
        "stations": 3,
        "measured": False,
        "notes": None,
        "seen_at_utc": pd.Timestamp("2024-02-01 01:00"),
    }
    assert TABLE.row({"rain": "null"})["rain"] is None
    assert TABLE.row({"rain": math.nan})["rain"] is None


def test_a_number_that_is_none_is_null_in_json():
    notes = TABLE.row({"notes": {"a": math.nan, "b": [math.inf, 1]}})["notes"]
    assert json.loads(notes) == {"a": None, "b": [None, 1]}
    assert TABLE.row({"notes": '{"a": NaN}'})["notes"] == '{"a": null}'


def test_a_frame_has_all_columns_and_numbers_stay_numbers_where_all_are_missing():
    frame = TABLE.frame([{**ROW, "rain": None}])
    assert list(frame.columns) == list(TABLE.names)
    assert frame["rain"].dtype == float
    assert list(TABLE.frame([]).columns) == list(TABLE.names)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([ROW, ROW], "place|day"),
        ([{**ROW, "rain": 1.25}], "rain fails .* with 1.25, first in Ulm 2024-01-31"),
        ([{**ROW, "rain": -0.1}], "rain"),
        ([{"place": "Ulm"}], "day"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(rows, fault):
    """A repeated key, a value out of bounds, a key that is missing."""
    with pytest.raises(InvalidRows, match=f"rows of weather cannot be stored: .*{fault}"):
        TABLE.frame(rows)


def test_every_bounded_column_is_a_share_a_change_a_count_or_in_points():
    bounded = [column for table in TABLES.values() for column in table.columns]
    for column in (one for one in bounded if one.low is not None):
        assert column.low == (-1 if column.name.startswith("change_") else 0), column
        points = 100 if column.name.endswith("_points") else 1
        assert column.high in (None, points), column
