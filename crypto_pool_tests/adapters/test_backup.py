"""A backup taken while the pool works, restored elsewhere, is the pool at one moment."""

import errno
import os
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.backup import Archived, PoolFolders, save_backup
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger, Promotion
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.version import READ
from crypto_pool.adapters.prediction_tables import LINK_NAME, publish, query
from crypto_pool.adapters.restoring import restore_backup
from crypto_pool.adapters.schema_version import known_version, open_data_folder, stored_version
from crypto_pool.commands.backup import check_champions
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.members import Member
from crypto_pool.errors import BackupError
from crypto_pool_tests.adapters.conftest import log
from crypto_pool_tests.decisions import a_decision

NOW = datetime(2023, 6, 1, 12, tzinfo=UTC)
MEMBER = Member.parse("BTC|uptrend")
TAGS = {
    **dict.fromkeys(READ, "0.5"),
    **dict.fromkeys(("as_of", "chosen_through", "trained_through"), "2023-05-31"),
    **{"target": "sma_shift", "prediction_window_days": "10", "skill_interval": "[]"},
}


def folders_in(home: Path) -> PoolFolders:
    return PoolFolders(home / "data", str(home / "data" / "parquet"), home)


def registry_of(folders: PoolFolders) -> ModelRegistry:
    database = folders.mlflow / "mlflow.db"
    return ModelRegistry(f"sqlite:///{database}", str(folders.mlflow / "artifacts"))


def decision(version: str, number: int) -> Promotion:
    moment = NOW.replace(microsecond=number)
    return a_decision(MEMBER, moment, model_version=version, decision="rolled back")


@pytest.fixture
def pool(
    tmp_path: Path, empty_store: bytes, candidate_fit: Callable[..., TrainedCandidate]
) -> PoolFolders:
    """A pool with one champion, its forecast, the ledger, a publication and Dagster's history."""
    folders = folders_in(tmp_path / "home one")
    folders.mlflow.mkdir(parents=True)
    (folders.mlflow / "mlflow.db").write_bytes(empty_store)
    registry = registry_of(folders)
    run = log(registry, candidate_fit())
    version = registry.versions.register(MEMBER.name, run, TAGS)
    store = FrameStore(folders.frames_root)
    store.claim("sandbox")
    Ledger(store).record(decision(version, 0))
    registry.versions.set_aliases(MEMBER.name, {"champion": version})
    forecasts = pd.DataFrame(
        {
            "prediction_date": [date(2023, 5, 31)],
            "symbol": ["BTC"],
            "trend": ["uptrend"],
            "probability": [0.7],
            "model_version": [version],
        }
    )
    store.write("daily_predictions", "2023-05-31", forecasts)
    publish(folders.data_dir, {"predictions": forecasts})
    publish(folders.data_dir, {"predictions": forecasts})
    (folders.data_dir / "raw_answers" / "2023-06-01").mkdir(parents=True)
    (folders.data_dir / "raw_answers" / "2023-06-01" / "BTC.json.gz").write_bytes(b"answer")
    (folders.dagster_home / "history").mkdir()
    with closing(sqlite3.connect(folders.dagster_home / "history" / "runs.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE runs (run_id TEXT)")
        connection.execute("INSERT INTO runs VALUES ('r1')")
        connection.commit()
    return folders


def test_a_restored_pool_has_the_same_champions_ledger_and_forecasts(pool, tmp_path, rows):
    before = registry_of(pool).versions.load(MEMBER.name, "1").predict_probability(rows)
    save_backup(pool, tmp_path / "pool.tar.gz", NOW)
    shutil.rmtree(pool.dagster_home)
    new = folders_in(tmp_path / "elsewhere" / "home 2")
    restore_backup(tmp_path / "pool.tar.gz", new)

    registry = registry_of(new)
    assert registry.versions.aliases_of(MEMBER.name)["champion"] == "1"
    assert (registry.versions.load(MEMBER.name, "1").predict_probability(rows) == before).all()
    store = FrameStore(new.frames_root)
    assert store.source() == "sandbox"
    assert list(Ledger(store).of_member(MEMBER)["serving_version"]) == ["1"]
    assert store.read("daily_predictions", "2023-05-31")["probability"].tolist() == [0.7]
    assert query(new.data_dir, "SELECT probability FROM predictions")["probability"].tolist() == [
        0.7
    ]
    assert len(list(new.data_dir.glob("crypto_pool-*.duckdb"))) == 1
    assert (new.data_dir / "raw_answers" / "2023-06-01" / "BTC.json.gz").read_bytes() == b"answer"
    with closing(sqlite3.connect(new.dagster_home / "history" / "runs.db")) as connection:
        assert connection.execute("SELECT run_id FROM runs").fetchall() == [("r1",)]


def test_a_restore_needs_nothing_newer_than_python_3_11_0(pool, tmp_path, monkeypatch):
    """`TarFile.extract` takes a filter since 3.11.4 only, so files are written without it."""

    def extract(*_: object, **__: object) -> None:
        raise TypeError("TarFile.extract() got an unexpected keyword argument 'filter'")

    for name in ("extract", "extractall"):
        monkeypatch.setattr(tarfile.TarFile, name, extract)
    target, new = tmp_path / "pool.tar.gz", folders_in(tmp_path / "home2")
    save_backup(pool, target, NOW)
    restore_backup(target, new)
    assert registry_of(new).versions.aliases_of(MEMBER.name)["champion"] == "1"
    published = [(folders.data_dir / LINK_NAME).stat().st_mtime for folders in (pool, new)]
    assert published[0] == pytest.approx(published[1], abs=1)
    assert {path.name for path in new.dagster_home.iterdir()} == {"data", "history"}


def test_no_text_in_mlflow_s_database_names_the_old_folder(pool, tmp_path):
    save_backup(pool, tmp_path / "pool.tar.gz", NOW)
    new = folders_in(tmp_path / "home2")
    restore_backup(tmp_path / "pool.tar.gz", new)
    with closing(sqlite3.connect(new.mlflow / "mlflow.db")) as connection:
        dump = "\n".join(connection.iterdump())
    assert pool.artifact_root not in dump
    assert new.artifact_root in dump


def test_mlflow_itself_serves_a_restored_champion(pool, tmp_path, rows):
    import mlflow

    save_backup(pool, tmp_path / "pool.tar.gz", NOW)
    shutil.rmtree(pool.dagster_home)
    new = folders_in(tmp_path / "home2")
    restore_backup(tmp_path / "pool.tar.gz", new)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(registry_of(new).store.tracking_uri)
    try:
        served = mlflow.pyfunc.load_model(f"models:/{MEMBER.name}_model@champion").predict(rows)
    finally:
        mlflow.set_tracking_uri(before)
    assert (
        served == registry_of(new).versions.load(MEMBER.name, "1").predict_probability(rows)
    ).all()


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


def test_a_pool_that_is_there_is_never_restored_over(pool, tmp_path):
    target = tmp_path / "pool.tar.gz"
    save_backup(pool, target, NOW)
    with pytest.raises(BackupError, match="into an empty pool only: set DAGSTER_HOME"):
        restore_backup(target, pool)
    only_history = folders_in(tmp_path / "with history")
    (only_history.dagster_home / "history").mkdir(parents=True)
    with pytest.raises(BackupError, match="history exists"):
        restore_backup(target, only_history)
    assert not only_history.data_dir.exists()
    assert registry_of(pool).versions.aliases_of(MEMBER.name)["champion"] == "1"


@pytest.mark.parametrize("place", ["/proc", "pool/file"])
def test_a_place_that_cannot_be_written_is_named_before_the_work(pool, place, tmp_path):
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "file").touch()
    with pytest.raises(NotADirectoryError, match="it cannot be made there"):
        save_backup(pool, tmp_path / place / "pool.tar.gz", NOW, check=pytest.fail)


def test_frames_and_data_may_lie_apart(pool, tmp_path):
    target = tmp_path / "pool.tar.gz"
    save_backup(pool, target, NOW)
    frames = tmp_path / "b" / "of two" / "frames"
    apart = PoolFolders(tmp_path / "a" / "data", str(frames), tmp_path / "c")
    restore_backup(target, apart)
    assert FrameStore(apart.frames_root).source() == "sandbox"
    save_backup(apart, target, NOW)
    deep = tmp_path / "f" / "data" / "kept" / "frames"
    within = PoolFolders(tmp_path / "f" / "data", str(deep), tmp_path / "f")
    restore_backup(target, within)
    save_backup(within, target, NOW)
    remote = PoolFolders(tmp_path / "d" / "data", "memory://restored", tmp_path / "d")
    restore_backup(target, remote)
    assert Ledger(FrameStore("memory://restored")).of_member(MEMBER)["decision"].tolist() == [
        "rolled back"
    ]
    save_backup(remote, target, NOW)
    again = folders_in(tmp_path / "e")
    restore_backup(target, again)
    assert FrameStore(again.frames_root).keys("daily_predictions") == ["2023-05-31"]


def test_a_home_keeps_the_settings_it_has_and_gets_all_else(pool, tmp_path):
    """Into folders that are there, and hold nothing but what a pool makes when it is opened."""
    for name, content in {"pool.toml": "theirs", "storage/r1/compute_logs/a.out": "told"}.items():
        (pool.dagster_home / name).parent.mkdir(parents=True, exist_ok=True)
        (pool.dagster_home / name).write_text(content)
    save_backup(pool, tmp_path / "pool.tar.gz", NOW)
    home, frames = tmp_path / "opened", tmp_path / "frames"
    new = PoolFolders(home / "data", str(frames), home)
    frames.mkdir()
    open_data_folder(new.data_dir, new.frames_root)
    (home / "pool.toml").write_text("mine")
    restore_backup(tmp_path / "pool.tar.gz", new)
    assert (home / "pool.toml").read_text() == "mine"
    assert (home / "storage" / "r1" / "compute_logs" / "a.out").read_text() == "told"
    assert stored_version(new.data_dir) == known_version()
    assert FrameStore(new.frames_root).source() == "sandbox"
    again = folders_in(tmp_path / "home3")
    restore_backup(tmp_path / "pool.tar.gz", again)
    assert (again.dagster_home / "pool.toml").read_text() == "theirs"


def test_a_restore_that_fails_at_its_last_step_leaves_nothing(pool, tmp_path, monkeypatch):
    (pool.dagster_home / "pool.toml").write_text("theirs")
    save_backup(pool, tmp_path / "pool.tar.gz", NOW)
    new = PoolFolders(tmp_path / "a" / "data", str(tmp_path / "frames"), tmp_path / "b")
    rename = os.rename

    def fail(source, target):
        if target == new.data_dir:
            raise OSError(28, "No space left on device")
        rename(source, target)

    with monkeypatch.context() as full:
        full.setattr(os, "rename", fail)
        with pytest.raises(OSError, match="No space"):
            restore_backup(tmp_path / "pool.tar.gz", new)
    left = [path for path in tmp_path.rglob("*") if not path.is_relative_to(pool.dagster_home)]
    assert {path.name for path in left} == {"pool.tar.gz", "a", "b"}
    restore_backup(tmp_path / "pool.tar.gz", new)
    assert registry_of(new).versions.aliases_of(MEMBER.name)["champion"] == "1"


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


@pytest.mark.parametrize("cut", [0.3, 0.9, 0.999])
def test_a_truncated_backup_restores_nothing(pool, tmp_path, cut):
    target = tmp_path / "pool.tar.gz"
    save_backup(pool, target, NOW)
    content = target.read_bytes()
    target.write_bytes(content[: int(len(content) * cut)])
    new = folders_in(tmp_path / "home2")
    with pytest.raises(
        BackupError, match=r"pool\.tar\.gz is no whole backup.*nothing was restored"
    ):
        restore_backup(target, new)
    assert not new.data_dir.exists()
    assert not (new.dagster_home / "history").exists()


def test_a_folder_without_a_pool_is_not_backed_up(tmp_path):
    with pytest.raises(BackupError, match="holds no pool to back up"):
        save_backup(folders_in(tmp_path), tmp_path / "pool.tar.gz", NOW)
    assert not (tmp_path / "pool.tar.gz").exists()


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


def test_a_home_that_moved_reads_and_writes_where_it_is(pool, tmp_path, rows, candidate_fit):
    before = registry_of(pool).versions.load(MEMBER.name, "1").predict_probability(rows)
    moved = folders_in(tmp_path / "moved")
    shutil.copytree(pool.dagster_home, moved.dagster_home, symlinks=True)
    shutil.rmtree(pool.dagster_home)
    registry = registry_of(moved)
    registry.prepare()
    assert (registry.versions.load(MEMBER.name, "1").predict_probability(rows) == before).all()
    log(registry, candidate_fit())
    assert not pool.dagster_home.exists()
    with closing(sqlite3.connect(moved.mlflow / "mlflow.db")) as connection:
        assert pool.artifact_root not in "\n".join(connection.iterdump())
    save_backup(moved, tmp_path / "moved.tar.gz", NOW, check_champions)
