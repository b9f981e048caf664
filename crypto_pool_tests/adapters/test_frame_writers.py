"""Writers of a frame store: whole files or none, one at a time, and one source a store."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters import unfinished_files
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.stored_files import StoredFiles
from crypto_pool.adapters.unfinished_files import name_unfinished
from crypto_pool.domain.addresses import without_credentials
from crypto_pool.errors import CorruptPartition, ProviderMismatch
from crypto_pool_tests.adapters.conftest import kill_while_writing, make_frame


def ended_process() -> int:
    """The id of a process that is no more."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


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
    for spoilt in (b"{", b"{}", b"[]"):
        StoredFiles(store.root).put("provenance.json", spoilt)
        with pytest.raises(CorruptPartition, match=r"provenance\.json does not say"):
            store.claim("x")


def test_a_password_that_an_earlier_release_wrote_down_is_taken_out(store: FrameStore) -> None:
    """And is none of another source's, whom it is not told either."""
    owner = "exchange:binance,at=http://me:secret@host"
    StoredFiles(store.root).put("provenance.json", f'{{"source": "{owner}"}}'.encode())
    for another in ("exchange:aaa", "exchange:zzz"):
        with pytest.raises(ProviderMismatch, match="holds bars from 'exchange:binance") as refusal:
            store.claim(another)
        assert "secret" not in str(refusal.value)
    store.claim(without_credentials(owner))
    assert store.source() == without_credentials(owner) != owner


def test_a_full_disk_is_told_with_the_folder_or_the_file_it_hit(tmp_path, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crypto_pool.adapters.unfinished_files.os.fsync", fail)
    for hit in ("t", r"t/a\.parquet"):  # the new folder, and the file once it is there
        with pytest.raises(OSError, match=rf"No space left on device: '.*/{hit}'") as raised:
            FrameStore(str(tmp_path)).write("t", "a", pd.DataFrame({"x": [1]}))
        assert raised.value.errno == 28
    assert list((tmp_path / "t").iterdir()) == []


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
