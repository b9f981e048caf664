"""A publication that goes on from the last one equals one that is made anew."""

from datetime import date

import duckdb
import pytest

from crypto_pool.adapters.prediction_tables import LINK_NAME, query
from crypto_pool.domain.tables import TABLES
from crypto_pool_tests.defs.published_pool import (
    DAYS,
    DAYS_STORED,
    published,
    sorted_rows,
    stored_pool,
    stored_row,
    write_bars,
)


def as_made_anew(data):
    """All rows and columns of the publication, which one made of nothing but the files repeats."""
    found = {name: sorted_rows(data, name) for name in TABLES}
    columns = query(
        data, "SELECT table_name, column_name, data_type, comment FROM duckdb_columns()"
    )
    (data / ".published.json").unlink()
    assert published().success
    assert {name: sorted_rows(data, name) for name in TABLES} == found
    again = query(data, "SELECT table_name, column_name, data_type, comment FROM duckdb_columns()")
    assert again.equals(columns)
    return found


def test_a_publication_that_goes_on_from_the_last_equals_one_made_anew(data):
    """After an old day was corrected, a day and a coin came, a file went, a feature came."""
    store = stored_pool(data)
    for symbol in ("ADA", "SOL", "DOT"):
        write_bars(data, symbol, 5)
    assert published().success
    before = as_made_anew(data)

    table = TABLES["predictions"]
    corrected = stored_row(table, DAYS[0], 0) | {"probability": 0.75}
    store.write(table.store_name, DAYS[0], table.frame([corrected]))
    bars = store.read("daily_bars", "ADA")
    store.write("daily_bars", "ADA", bars.assign(close=bars["close"] + 1))
    assert published().success
    after = as_made_anew(data)
    assert "0.75" in after["predictions"][0]
    assert before["predictions"][1] == after["predictions"][1]
    assert len(after["daily_bars"]) == len(before["daily_bars"])
    assert after["daily_bars"] != before["daily_bars"]

    write_bars(data, "SOL", 6)
    store.remove("daily_bars", "DOT")
    features = store.read("feature_table", "ETH")
    store.write("feature_table", "ETH", features.assign(mine=0.5))
    assert published().success
    found = as_made_anew(data)
    assert len(found["daily_bars"]) == len(after["daily_bars"]) + 1 - 5


@pytest.mark.parametrize("left", ["", "{", '{"of": 1}', None])
def test_where_what_the_last_one_was_made_of_is_not_known_all_is_published_anew(data, left):
    """Its note is lost or broken, or the file is another than it was: somebody wrote into it."""
    write_bars(data, "BTC", 5)
    write_bars(data, "ETH", 5)
    assert published().success
    if left is None:
        with duckdb.connect(str((data / LINK_NAME).resolve())) as scribble:
            scribble.execute("UPDATE daily_bars SET close = 0")
    else:
        (data / ".published.json").write_text(left)
    write_bars(data, "ETH", 6)
    assert published().success
    assert dict(query(data, DAYS_STORED).to_numpy()) == {"BTC": 5, "ETH": 6}
    assert query(data, "SELECT min(close) > 0 FROM daily_bars").iat[0, 0]


def test_rows_in_another_file_than_their_own_are_published_once(data):
    """What the last publication holds of a group is not what its file brought."""
    store, table = stored_pool(data), TABLES["predictions"]
    for day in ("2024-02-01", "2024-02-02", "2024-02-03"):
        row = stored_row(table, DAYS[0], 0) | {"prediction_date": date(2024, 5, 5), "symbol": day}
        store.write(table.store_name, day, table.frame([row]))
    assert published().success
    store.write(table.store_name, "2024-02-02", table.frame([row | {"symbol": "ADA"}]))
    assert published().success
    assert len(as_made_anew(data)["predictions"]) == 5
