"""A pool that is restored from a backup, elsewhere, is the pool that was saved."""

import os
import shutil
import sqlite3
import tarfile
from contextlib import closing

import pytest

from crypto_pool.adapters.backup import PoolFolders, save_backup
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.prediction_tables import LINK_NAME, query
from crypto_pool.adapters.restoring import restore_backup
from crypto_pool.adapters.schema_version import known_version, open_data_folder, stored_version
from crypto_pool.commands.backup import check_champions
from crypto_pool.errors import BackupError
from crypto_pool_tests.adapters.conftest import log
from crypto_pool_tests.adapters.pool_folders import MEMBER, NOW, folders_in, registry_of


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
