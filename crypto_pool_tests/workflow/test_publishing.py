"""A publication that goes on from the last one equals one made anew; what is damaged stays."""

from pathlib import Path

import duckdb
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import LINK_NAME, query
from crypto_pool.domain.recipe import DEFAULT_RECIPE
from crypto_pool.domain.tables import TABLES
from crypto_pool.workflow.publishing import publish_pool
from crypto_pool_tests.workflow.stored_pool import (
    BY_COIN,
    DAYS,
    DAYS_STORED,
    GONE,
    KEYS,
    sorted_rows,
    stored_pool,
    stored_row,
    write_bars,
)


@pytest.fixture
def data(tmp_path):
    return tmp_path


def published(data):
    """Publish what is stored; give what is damaged, and why."""
    return publish_pool(FrameStore(str(data / "parquet")), data, DEFAULT_RECIPE)[1]


def as_made_anew(data):
    """All rows and columns of the publication, which one made of nothing but the files repeats."""
    found = {name: sorted_rows(data, name) for name in TABLES}
    columns = query(
        data, "SELECT table_name, column_name, data_type, comment FROM duckdb_columns()"
    )
    (data / ".published.json").unlink()
    assert not published(data)
    assert {name: sorted_rows(data, name) for name in TABLES} == found
    again = query(data, "SELECT table_name, column_name, data_type, comment FROM duckdb_columns()")
    assert again.equals(columns)
    return found


def test_a_publication_that_goes_on_from_the_last_equals_one_made_anew(data):
    """After an old day was corrected, a day and a coin came, a file went, a feature came."""
    store = stored_pool(data)
    for symbol in ("ADA", "SOL", "DOT"):
        write_bars(data, symbol, 5)
    assert not published(data)
    before = as_made_anew(data)

    table = TABLES["predictions"]
    corrected = stored_row(table, DAYS[0], 0) | {"probability": 0.75}
    store.write(table.store_name, DAYS[0], table.frame([corrected]))
    bars = store.read("daily_bars", "ADA")
    store.write("daily_bars", "ADA", bars.assign(volume=bars["volume"] + 1))
    assert not published(data)
    after = as_made_anew(data)
    assert "0.75" in after["predictions"][0]
    assert before["predictions"][1] == after["predictions"][1]
    assert len(after["daily_bars"]) == len(before["daily_bars"])
    assert after["daily_bars"] != before["daily_bars"]

    write_bars(data, "SOL", 6)
    store.remove("daily_bars", "DOT")
    features = store.read("feature_table", "ETH")
    store.write("feature_table", "ETH", features.assign(mine=0.5))
    assert not published(data)
    found = as_made_anew(data)
    assert len(found["daily_bars"]) == len(after["daily_bars"]) + 1 - 5


@pytest.mark.parametrize("left", ["", "{", '{"of": 1}', None])
def test_where_what_the_last_one_was_made_of_is_not_known_all_is_published_anew(data, left):
    """Its note is lost or broken, or the file is another than it was: somebody wrote into it."""
    write_bars(data, "BTC", 5)
    write_bars(data, "ETH", 5)
    assert not published(data)
    if left is None:
        with duckdb.connect(str((data / LINK_NAME).resolve())) as scribble:
            scribble.execute("UPDATE daily_bars SET close = 0")
    else:
        (data / ".published.json").write_text(left)
    write_bars(data, "ETH", 6)
    assert not published(data)
    assert dict(query(data, DAYS_STORED).to_numpy()) == {"BTC": 5, "ETH": 6}
    assert query(data, "SELECT min(close) > 0 FROM daily_bars").iat[0, 0]


def test_a_coin_that_never_could_be_read_has_no_rows(data):
    victim = write_bars(data, "BTC", 5)
    write_bars(data, "ETH", 5)
    with open(victim, "wb") as file:
        file.write(b"half a file")
    assert list(published(data)) == ["BTC"]
    assert dict(query(data, DAYS_STORED).to_numpy()) == {"ETH": 5}


@pytest.mark.parametrize(
    ("tables", "length"),
    [*(((table,), 40) for table in sorted(TABLES)), (tuple(TABLES), 0), (tuple(TABLES), -20)],
    ids=[*sorted(TABLES), "all of them empty", "all without their ends"],
)
def test_of_a_file_cut_off_the_last_published_rows_stay(data, tables, length):
    """Whatever the table: it is named with the command that mends it, and the rest goes on."""
    stored = stored_pool(data)
    assert not published(data)
    before = {name: sorted_rows(data, name) for name in TABLES}
    files = [Path(stored.path(TABLES[table].store_name, KEYS[table][0])) for table in tables]
    for file in files:
        file.write_bytes(file.read_bytes()[:length])

    faults = published(data)

    said = " ".join(faults.values())
    for file in files:
        assert f"{file} cannot be read as Parquet" in said
    assert said.count("delete it, then run `crypto-pool") >= len(files)
    for name, rows in before.items():
        assert len(rows) == 2 or name not in tables
        assert sorted_rows(data, name) == rows, name


def test_rows_copied_into_another_file_and_folders_stop_nothing_else(data):
    """Of every table, and of what is published; each is named, and the next goes on from there."""
    stored = stored_pool(data)
    assert not published(data)
    before = {name: sorted_rows(data, name) for name in TABLES}
    tables = [table for table in TABLES.values() if {*table.partitioned_by} <= {*table.key}]
    tables = [table for table in tables if table.name not in BY_COIN]
    for table in tables:
        one, other = (Path(stored.path(table.store_name, key)) for key in KEYS[table.name])
        other.write_bytes(one.read_bytes())
    (data / LINK_NAME).unlink()
    names = (LINK_NAME, ".published.json", "crypto_pool-1.duckdb")
    for name in names:
        (data / name).unlink(missing_ok=True)
        (data / name / "mine").mkdir(parents=True)

    faults = published(data)

    said = " ".join(faults.values())
    assert said.count("it is that of") == len(tables) > 3
    assert said.count("a folder stood in its place") == len(names)
    assert len(list(data.glob("aside-*/mine"))) == len(names)
    for name, rows in before.items():
        there = sorted_rows(data, name)
        assert there == rows if name not in [one.name for one in tables] else set(there) <= {*rows}
        assert there


def test_champions_on_other_terms_than_the_pool_s_say_so(data):
    store, table = FrameStore(str(data / "parquet")), TABLES["champions"]
    terms = {"time_period": "7", "series_type": "close", "target_pct": "0.05"}
    for member, told in zip(GONE, ({}, {"series_type": "high"}), strict=True):
        symbol, trend = member.split("|")
        row = table.row({"symbol": symbol, "trend": trend, "model_version": "1", **terms, **told})
        store.write("champions", member, table.frame([{**row, **told}]))

    assert not published(data)

    said = query(data, "SELECT symbol, fault FROM champions")
    assert dict(said.astype(object).where(said.notna(), None).to_numpy()) == {
        "XRPOLD": None,
        "LUNAOLD": "its terms are not the pool's: series_type was high and is close",
    }


def test_a_stranger_s_file_in_a_table_s_folder_is_named_and_stops_nothing(data):
    store = stored_pool(data)
    assert not published(data)
    before = {name: sorted_rows(data, name) for name in TABLES}
    for table in TABLES.values():
        Path(store.path(table.store_name, "JUNK")).write_bytes(b"junk")
    for _ in range(2):  # going on from the last publication, and anew
        assert list(published(data)) == ["JUNK"]
        assert {name: sorted_rows(data, name) for name in TABLES} == before
        (data / ".published.json").unlink()
