"""A frame store gives back what was written, key by key, and tells where nothing can be had."""

from pathlib import Path
from typing import Never

import fsspec
import pandas as pd
import pytest
from fsspec import AbstractFileSystem

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.errors import CorruptPartition, StoreUnavailable
from crypto_pool_tests.adapters.conftest import make_frame


def test_frame_comes_back_as_written(store: FrameStore) -> None:
    """Values to the last bit, index with its name and type."""
    store.write("bars", "BTC", make_frame())
    read = store.read("bars", "BTC")
    pd.testing.assert_frame_equal(read, make_frame(), check_exact=True)
    assert isinstance(read.index, pd.DatetimeIndex)
    assert read.index.name == "date"
    store.write("bars", "BTC", make_frame(2, start=5.0))
    assert len(store.read("bars", "BTC")) == 2


@pytest.mark.parametrize(
    "key", ["BTC|uptrend", "a/b", "..", "2024-01-01", "50%", "%7C", "é ü", ".hidden", "x.parquet"]
)
def test_any_key_makes_a_round_trip(store: FrameStore, key: str) -> None:
    """No key leaves its table's folder, and keys() gives it back."""
    store.write("scores", key, make_frame())
    assert store.exists("scores", key)
    assert store.keys("scores") == [key]
    pd.testing.assert_frame_equal(store.read("scores", key), make_frame())


def test_a_prefix_names_the_partitions_that_are_read(store: FrameStore) -> None:
    """The prefix is of the key, not of the file name it is encoded in."""
    for key in ("BTC|uptrend|1", "BTC|uptrend|2", "BTC|downtrend|1", "XBTC|uptrend|1"):
        store.write("t", key, make_frame(1))
    chosen = ["BTC|uptrend|1", "BTC|uptrend|2"]
    assert store.keys("t", "BTC|uptrend|") == chosen
    assert list(store.read_sound("t", "key", prefix="BTC|uptrend|")[0]["key"]) == chosen
    assert store.read_all("t", prefix="ETH|").empty


def test_read_all_joins_partitions(store: FrameStore) -> None:
    """In key order, with the key as a column; an all-null column takes the others' type."""
    store.write("t", "B|up", make_frame(2).assign(reason=None))
    store.write("t", "A|up", make_frame(3, start=7.0).assign(reason="x"))
    table, _ = store.read_sound("t", key_column="member")
    assert table["member"].tolist() == ["A|up"] * 3 + ["B|up"] * 2
    assert table["close"].iloc[0] == 7.1
    assert table["reason"].isna().tolist() == [False] * 3 + [True] * 2
    assert isinstance(table.index, pd.DatetimeIndex)
    assert table.index.name == "date"
    assert len(table.columns) == 3


def test_read_all_without_a_date_index(store: FrameStore) -> None:
    """Plain rows of several partitions."""
    for key in ("a", "b"):
        store.write("t", key, pd.DataFrame({"x": [1, 2]}))
    assert store.read_all("t")["x"].tolist() == [1, 2, 1, 2]
    store.write("t", "b", pd.DataFrame({"x": ["text"]}))
    with pytest.raises(CorruptPartition, match="different types"):
        store.read_all("t")


def test_without_any_row_the_types_of_partitions_need_not_agree(store: FrameStore) -> None:
    store.write("t", "BTC", pd.DataFrame({"a": pd.Series(dtype="string")}))
    store.write("t", "ETH", pd.DataFrame({"a": pd.Series(dtype=float)}))
    assert list(store.read_all("t").columns) == ["a"]
    assert len(store.read_all("t")) == 0


class GoneFileSystem(AbstractFileSystem):
    """An object store of which nothing can be had."""

    protocol = "gone"
    fault: OSError = ConnectionError("nobody listens")

    def _gone(self, *_: object, **__: object) -> Never:
        raise self.fault

    ls = info = exists = cat_file = cat = pipe_file = rm_file = _gone


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.claim("synthetic"),
        lambda store: store.source(),
        lambda store: store.keys("bars"),
        lambda store: store.exists("bars", "BTC"),
        lambda store: store.read("bars", "BTC"),
        lambda store: store.read_all("bars"),
        lambda store: store.read_sound("bars"),
        lambda store: store.write("bars", "BTC", make_frame()),
        lambda store: store.remove("bars", "BTC"),
    ],
)
def test_a_store_that_does_not_answer_is_named_whatever_is_asked(ask) -> None:
    fsspec.register_implementation("gone", GoneFileSystem, clobber=True)
    with pytest.raises(StoreUnavailable, match="gone://bucket/pool does not answer") as refused:
        ask(FrameStore("gone://bucket/pool"))
    assert "CRYPTO_POOL_PARQUET_ROOT" in str(refused.value)


def test_a_store_of_no_kind_that_is_known_is_named() -> None:
    with pytest.raises(StoreUnavailable, match=r"^s4://pool .*s4; check CRYPTO_POOL_PARQUET_ROOT"):
        FrameStore("s4://pool")


def test_a_bucket_that_is_not_there_is_no_file_that_is_missing(monkeypatch) -> None:
    fsspec.register_implementation("gone", GoneFileSystem, clobber=True)
    monkeypatch.setattr(GoneFileSystem, "fault", FileNotFoundError("no such bucket"))
    with pytest.raises(StoreUnavailable, match="takes no files: no such bucket; check"):
        FrameStore("gone://bucket/pool").write("bars", "BTC", make_frame())


def test_what_is_kept_of_a_table_equals_what_its_files_hold(tmp_path: Path) -> None:
    """After one was added, replaced, removed or damaged, and where what was kept is garbage."""

    store = FrameStore(str(tmp_path))

    def is_equal() -> bool:
        kept, faults = store.read_kept("t")
        read, damaged = store.read_sound("t")
        return kept.equals(read) and faults.keys() == damaged.keys()

    for key in ("BTC|uptrend|1", "ETH|uptrend|1", "BTC|uptrend|2"):
        store.write("t", key, make_frame(2).reset_index())
        assert is_equal()
    store.write("t", "BTC|uptrend|1", make_frame(3).reset_index())
    assert is_equal()
    store.remove("t", "ETH|uptrend|1")
    assert is_equal()
    kept = Path(store.path("derived", "t"))
    for left in (kept.read_bytes()[:-20], b""):
        kept.write_bytes(left)
        assert is_equal()
    store.write("derived", "t", make_frame(1))
    assert is_equal()
    damaged = Path(store.path("t", "BTC|uptrend|2"))
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert is_equal()
    assert len(store.read_kept("t")[0]) == 3


def test_marks_tell_a_file_from_all_it_was(store: FrameStore) -> None:
    store.write("bars", "BTC", make_frame(1))
    store.write("bars", "ETH", make_frame(1))
    before = store.marks("bars")
    assert store.marks("bars") == before
    store.write("bars", "BTC", make_frame(1))
    after = store.marks("bars")
    assert after["ETH"] == before["ETH"]
    assert after["BTC"] != before["BTC"]
    assert store.marks("bars", "B").keys() == {"BTC"}
    assert store.marks("none") == {}
