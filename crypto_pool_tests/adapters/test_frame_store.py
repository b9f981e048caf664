"""The frame store: whole files or none, reversible keys, one source a store."""

import os
import re
import socket
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Never

import fsspec
import numpy as np
import pandas as pd
import pytest
from fsspec import AbstractFileSystem

from crypto_pool.adapters import unfinished_files
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.unfinished_files import name_unfinished
from crypto_pool.errors import (
    CorruptPartition,
    MissingPartition,
    ProviderMismatch,
    StoreUnavailable,
)


def make_frame(rows: int = 3, start: float = 0.0) -> pd.DataFrame:
    """Floats on a daily index named date."""
    index = pd.DatetimeIndex(pd.date_range("2024-01-01", periods=rows), freq=None, name="date")
    return pd.DataFrame({"close": np.arange(rows) + start + 0.1}, index=index)


def kill_while_writing(path: Path) -> None:
    """Leave the half-written file of a process that was killed."""
    code = (
        "import os, sys, pathlib; "
        "from crypto_pool.adapters.unfinished_files import name_unfinished; "
        "name_unfinished(pathlib.Path(sys.argv[1])).write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9


def ended_process() -> int:
    """The id of a process that is no more."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FrameStore:
    """A store on the disk and one on a remote-like filesystem."""
    if request.param == "local":
        return FrameStore(str(tmp_path / "new" / "store"))
    return FrameStore(f"memory://{uuid.uuid4().hex}/store")


def test_frame_comes_back_as_written(store: FrameStore) -> None:
    """Values to the last bit, index with its name and type."""
    store.write("daily_bars", "BTC", make_frame())
    read = store.read("daily_bars", "BTC")
    pd.testing.assert_frame_equal(read, make_frame(), check_exact=True)
    assert isinstance(read.index, pd.DatetimeIndex)
    assert read.index.name == "date"
    store.write("daily_bars", "BTC", make_frame(2, start=5.0))
    assert len(store.read("daily_bars", "BTC")) == 2


@pytest.mark.parametrize(
    "key", ["BTC|uptrend", "a/b", "..", "2024-01-01", "50%", "%7C", "é ü", ".hidden", "x.parquet"]
)
def test_any_key_makes_a_round_trip(store: FrameStore, key: str) -> None:
    """No key leaves its table's folder, and keys() gives it back."""
    store.write("scores", key, make_frame())
    assert store.exists("scores", key)
    assert store.keys("scores") == [key]
    pd.testing.assert_frame_equal(store.read("scores", key), make_frame())


def test_missing_and_corrupt_partitions_name_path_and_way_out(store: FrameStore) -> None:
    """A missing table has no keys; a broken file is not a missing one."""
    assert store.keys("daily_bars") == []
    assert store.read_all("daily_bars").empty
    assert not store.exists("daily_bars", "BTC")
    with pytest.raises(MissingPartition, match=r"daily_bars/BTC\.parquet does not exist; run"):
        store.read("daily_bars", "BTC")
    path = store.write("daily_bars", "BTC", make_frame())
    content = store._files.cat_file(path)
    for broken in (b"", b"garbage", content[: len(content) // 2], content[:-9] + b"012345678"):
        store._files.pipe_file(path, broken)
        with pytest.raises(CorruptPartition, match=r"daily_bars/BTC\.parquet .*delete it, then"):
            store.read("daily_bars", "BTC")


def test_a_prefix_names_the_partitions_that_are_read(store: FrameStore) -> None:
    """The prefix is of the key, not of the file name it is encoded in."""
    for key in ("BTC|uptrend|1", "BTC|uptrend|2", "BTC|downtrend|1", "XBTC|uptrend|1"):
        store.write("promotions", key, make_frame(1))
    chosen = ["BTC|uptrend|1", "BTC|uptrend|2"]
    assert store.keys("promotions", "BTC|uptrend|") == chosen
    assert list(store.read_all("promotions", "key", prefix="BTC|uptrend|")["key"]) == chosen
    assert store.read_all("promotions", prefix="ETH|").empty


def test_read_all_joins_partitions(store: FrameStore) -> None:
    """In key order, with the key as a column; an all-null column takes the others' type."""
    store.write("t", "B|up", make_frame(2).assign(reason=None))
    store.write("t", "A|up", make_frame(3, start=7.0).assign(reason="x"))
    table = store.read_all("t", key_column="member")
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


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_half_written_file_is_never_visible(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    interruption: type[BaseException],
) -> None:
    """Interrupted before the rename, the old partition stays and nothing is left behind."""
    store = FrameStore(str(tmp_path))
    store.write("t", "old", make_frame())

    def interrupt(*_: object) -> None:
        raise interruption

    with monkeypatch.context() as patch:
        patch.setattr(os, step, interrupt)
        for key in ("old", "new"):
            with pytest.raises(interruption):
                store.write("t", key, make_frame(9))
    assert store.keys("t") == ["old"]
    assert len(store.read("t", "old")) == 3
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["old.parquet"]


def test_leftover_of_a_killed_writer_is_no_partition(tmp_path: Path) -> None:
    """What SIGKILL leaves beside is never listed, and goes with the next write of its key."""
    store = FrameStore(str(tmp_path))
    store.write("t", "BTC", make_frame())
    kill_while_writing(tmp_path / "t" / "ETH.parquet")
    assert len(list((tmp_path / "t").iterdir())) == 2
    assert store.keys("t") == ["BTC"]
    assert len(store.read_all("t")) == 3
    alive = name_unfinished(tmp_path / "t" / "ETH.parquet")
    alive.write_bytes(b"half")
    store.write("t", "ETH", make_frame())
    assert {path.name for path in (tmp_path / "t").iterdir()} == {
        "BTC.parquet",
        "ETH.parquet",
        alive.name,
    }


def test_what_another_machine_is_writing_is_left_alone(tmp_path: Path, monkeypatch) -> None:
    """Whether its writer lives cannot be known here."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(unfinished_files.socket, "gethostname", lambda: "another")
        theirs = name_unfinished(tmp_path / "BTC.parquet")
    theirs = theirs.with_name(theirs.name.replace(f".{os.getpid()}.", f".{ended_process()}."))
    ours = theirs.with_name(theirs.name.replace("another", socket.gethostname()))
    for path in (theirs, ours):
        path.write_bytes(b"half")
    unfinished_files.remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == [theirs]


def test_providers_never_mix(store: FrameStore) -> None:
    """The first source owns the store; another is refused with both names and the way out."""
    assert store.source() is None
    store.claim("sandbox:seed=7")
    store.claim("sandbox:seed=7")
    assert store.source() == "sandbox:seed=7"
    with pytest.raises(ProviderMismatch) as refusal:
        store.claim("directory:/data")
    for part in ("sandbox:seed=7", "directory:/data", "_DATA_DIR", "CRYPTO_POOL_PROVIDER"):
        assert part in str(refusal.value)
    assert store.source() == "sandbox:seed=7"


def test_only_one_of_many_claims_wins(tmp_path: Path) -> None:
    """Claims at the same moment agree on one owner."""

    def claim(number: int) -> bool:
        try:
            FrameStore(str(tmp_path / "s")).claim(f"source {number}")
        except ProviderMismatch:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(claim, range(8))) == 1
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["provenance.json"]


def test_unreadable_provenance_is_named(store: FrameStore) -> None:
    """It is not taken for nobody's store."""
    store.claim("x")
    store._files.pipe_file(f"{store._root}/provenance.json", b"{")
    with pytest.raises(CorruptPartition, match=r"provenance\.json does not say"):
        store.claim("x")


def test_a_full_disk_is_told_with_the_file_it_hit(tmp_path, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crypto_pool.adapters.unfinished_files.os.fsync", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*t/a\.parquet'") as raised:
        FrameStore(str(tmp_path)).write("t", "a", pd.DataFrame({"x": [1]}))
    assert raised.value.errno == 28
    assert list((tmp_path / "t").iterdir()) == []


def test_what_is_damaged_is_named_and_the_rest_is_read(store: FrameStore) -> None:
    """Each with what mends it; a table that is no longer known says so too."""
    for key in ("2024-01-01", "2024-01-02"):
        path = store.write("daily_predictions", key, make_frame(1))
    store._files.pipe_file(path, store._files.cat_file(path)[:-20])
    frame, faults = store.read_sound("daily_predictions", "day")
    assert list(frame["day"]) == ["2024-01-01"]
    assert list(faults) == ["2024-01-02"]
    assert "delete it, then run `crypto-pool predict --date 2024-01-02`" in str(
        faults["2024-01-02"]
    )
    with pytest.raises(CorruptPartition, match="2024-01-02"):
        store.read_all("daily_predictions")


def test_a_partition_is_read_and_written_by_one_at_a_time(store: FrameStore) -> None:
    """Fifty writers that each add a row lose none."""

    def add(number: int) -> None:
        with store.lock("counts", "all"):
            rows = store.read("counts", "all") if store.exists("counts", "all") else pd.DataFrame()
            made = pd.DataFrame({"number": [number]})
            store.write("counts", "all", pd.concat([rows, made], ignore_index=True))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(50)))
    assert sorted(store.read("counts", "all")["number"]) == list(range(50))
    assert store.keys("counts") == ["all"]


class GoneFileSystem(AbstractFileSystem):
    """An object store of which nothing can be had."""

    protocol = "gone"

    def _gone(self, *_: object, **__: object) -> Never:
        raise ConnectionError("nobody listens")

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


def test_what_is_kept_of_a_table_equals_what_its_files_hold(tmp_path: Path) -> None:
    """After one was added, replaced, removed or damaged, and where what was kept is garbage."""

    store = FrameStore(str(tmp_path))

    def is_equal() -> bool:
        kept, faults = store.read_kept("promotions")
        read, damaged = store.read_sound("promotions")
        return kept.equals(read) and faults.keys() == damaged.keys()

    for key in ("BTC|uptrend|1", "ETH|uptrend|1", "BTC|uptrend|2"):
        store.write("promotions", key, make_frame(2).reset_index())
        assert is_equal()
    store.write("promotions", "BTC|uptrend|1", make_frame(3).reset_index())
    assert is_equal()
    store.remove("promotions", "ETH|uptrend|1")
    assert is_equal()
    kept = Path(store.path("derived", "promotions"))
    for left in (kept.read_bytes()[:-20], b""):
        kept.write_bytes(left)
        assert is_equal()
    store.write("derived", "promotions", make_frame(1))
    assert is_equal()
    damaged = Path(store.path("promotions", "BTC|uptrend|2"))
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert is_equal()
    assert len(store.read_kept("promotions")[0]) == 3


def test_marks_tell_a_file_from_all_it_was(store: FrameStore) -> None:
    store.write("daily_bars", "BTC", make_frame(1))
    store.write("daily_bars", "ETH", make_frame(1))
    before = store.marks("daily_bars")
    assert store.marks("daily_bars") == before
    store.write("daily_bars", "BTC", make_frame(1))
    after = store.marks("daily_bars")
    assert after["ETH"] == before["ETH"]
    assert after["BTC"] != before["BTC"]
    assert store.marks("daily_bars", "B").keys() == {"BTC"}
    assert store.marks("none") == {}


def test_a_file_without_a_column_that_is_asked_for_is_named(store: FrameStore) -> None:
    path = store.write("daily_bars", "BTC", make_frame(1))
    with pytest.raises(CorruptPartition, match=re.escape(path)):
        store.read("daily_bars", "BTC", ["close", "volume"])
