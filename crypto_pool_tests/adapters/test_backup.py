"""A backup taken while the pool works is the pool at one moment, whole or not made."""

import errno
import os
import shutil
import tarfile
import threading

import pandas as pd
import pytest

from crypto_pool.adapters.backup import Archived, save_backup
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.prediction_tables import LINK_NAME
from crypto_pool.adapters.restoring import restore_backup
from crypto_pool.commands.backup import check_champions
from crypto_pool.errors import BackupError
from crypto_pool_tests.adapters.pool_folders import MEMBER, NOW, decision, folders_in, registry_of


def test_backups_during_decisions_hold_each_version_that_their_ledger_names(pool, tmp_path):
    """A writer appoints versions as fast as it can."""
    registry, store = registry_of(pool), FrameStore(pool.frames_root)
    first = registry.versions.get(MEMBER.name, "1")
    ended, written = threading.Event(), []

    def work() -> None:
        own = registry_of(pool)
        while not ended.is_set():
            version = own.client.create_model_version(
                f"{MEMBER.name}_model", first.location, run_id=first.run_id
            ).version
            Ledger(store).record(decision(str(version), len(written) + 1))
            row = {"symbol": ["BTC"], "trend": ["uptrend"], "model_version": [str(version)]}
            store.write("daily_predictions", f"2023-06-{len(written) % 30:02d}", pd.DataFrame(row))
            written.append(str(version))

    writer = threading.Thread(target=work)
    writer.start()
    taken = 0
    try:
        while len(written) < 8 and writer.is_alive():
            save_backup(pool, tmp_path / f"{taken}.tar.gz", NOW)
            taken += 1
    finally:
        ended.set()
        writer.join()
    assert len(written) >= 8
    for number in range(taken):
        new = folders_in(tmp_path / f"restored {number}")
        restore_backup(tmp_path / f"{number}.tar.gz", new)
        restored, frames = registry_of(new), FrameStore(new.frames_root)
        recorded = list(Ledger(frames).of_member(MEMBER)["serving_version"])
        forecasts = frames.read_all("daily_predictions")
        for version in {*recorded, *forecasts["model_version"]}:
            restored.versions.load(MEMBER.name, version, first.model_hashes)


def test_where_no_file_can_be_linked_to_all_are_copied(pool, tmp_path, monkeypatch):
    made = save_backup(pool, tmp_path / "linked.tar.gz", NOW)

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    save_backup(pool, tmp_path / "copied.tar.gz", NOW)
    held = []
    for name in ("linked", "copied"):
        with tarfile.open(tmp_path / f"{name}.tar.gz") as archive:
            held.append([(one.name, int(one.mtime), one.mode, one.size) for one in archive][1:])
    assert made == Archived(len(held[0]), sum(size for *_, size in held[0]))
    databases = ("mlflow/mlflow.db", "dagster/history/runs.db")  # are made anew each time
    linked, copied = ([one for one in files if one[0] not in databases] for files in held)
    assert linked == copied
    assert {mode for _, _, mode, _ in linked} == {0o644}


def test_a_folder_without_a_pool_is_not_backed_up(tmp_path):
    with pytest.raises(BackupError, match="holds no pool to back up"):
        save_backup(folders_in(tmp_path), tmp_path / "pool.tar.gz", NOW)
    assert not (tmp_path / "pool.tar.gz").exists()


@pytest.mark.parametrize("place", ["/proc", "pool/file"])
def test_a_place_that_cannot_be_written_is_named_before_the_work(pool, place, tmp_path):
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "file").touch()
    with pytest.raises(NotADirectoryError, match="it cannot be made there"):
        save_backup(pool, tmp_path / place / "pool.tar.gz", NOW, check=pytest.fail)


def test_what_is_no_backup_is_not_replaced_by_one(pool, tmp_path):
    """The pool's own files, others', a pipe; as root a device would be replaced as well."""
    (tmp_path / "notes.txt").write_text("of mine")
    os.mkfifo(tmp_path / "pipe")
    own = (pool.data_dir / LINK_NAME, pool.mlflow / "mlflow.db")
    for target in (tmp_path / "notes.txt", tmp_path / "pipe", *own):
        before = target.read_bytes() if target.is_file() else None
        with pytest.raises(BackupError, match="is there and is no backup"):
            save_backup(pool, target, NOW)
        assert (target.read_bytes() if target.is_file() else None) == before


def test_an_empty_file_and_the_target_of_a_link_become_the_backup(pool, tmp_path):
    there, link = tmp_path / "elsewhere.tar.gz", tmp_path / "pool.tar.gz"
    there.touch()
    link.symlink_to(there)
    for _ in range(2):
        save_backup(pool, link, NOW)
        assert link.is_symlink()
        assert tarfile.is_tarfile(there)


def test_a_failed_backup_leaves_the_last_one_and_nothing_beside(pool, tmp_path, monkeypatch):
    target = tmp_path / "backups" / "pool.tar.gz"
    save_backup(pool, target, NOW)
    whole = target.read_bytes()
    before = sorted(path.name for path in pool.data_dir.iterdir())

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crypto_pool.adapters.unfinished_files.os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        save_backup(pool, target, NOW)
    assert target.read_bytes() == whole
    assert [path.name for path in target.parent.iterdir()] == ["pool.tar.gz"]
    assert sorted(path.name for path in pool.data_dir.iterdir()) == before


def test_the_commands_say_what_they_did(pool, tmp_path, new_pool):
    other = new_pool()
    save_backup(pool, tmp_path / "pool.tar.gz", NOW)
    done = other.ask("restore", str(tmp_path / "pool.tar.gz"))
    assert done.returncode == 0, done.stderr
    assert "each of 1 champions loads" in done.stdout
    kept = other.ask("backup", str(tmp_path / "again.tar.gz"))
    assert kept.returncode == 0, kept.stderr
    assert "MB packed" in kept.stdout


def test_a_backup_without_a_champion_s_model_is_refused(pool, tmp_path, caplog):
    target = tmp_path / "pool.tar.gz"
    with caplog.at_level("WARNING"):
        save_backup(pool, target, NOW, check_champions)
    assert not caplog.text  # that the home was at another place, which is the copy's alone
    whole = target.read_bytes()
    shutil.rmtree(next((pool.mlflow / "artifacts").rglob("calibration.json")).parent)
    with pytest.raises(BackupError, match=r"would lack a champion: .*version 1"):
        save_backup(pool, target, NOW, check_champions)
    assert target.read_bytes() == whole
