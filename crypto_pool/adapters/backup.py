"""All state of a pool in one compressed archive, taken while its jobs run.

Files that are written once and renamed are held by hard links in a moment; databases are
copied by SQLite's online backup. What refers comes before what is referred to: forecasts and the
ledger, then MLflow's database, then its artifacts. The archive is written beside and renamed.
"""

import gzip
import io
import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from time import time

import fsspec
from filelock import BaseFileLock, FileLock
from fsspec.implementations.local import LocalFileSystem

from crypto_pool.adapters.mlflow.store import as_uri
from crypto_pool.adapters.prediction_tables import LINK_NAME
from crypto_pool.adapters.schema_version import FIRST_VERSION, open_data_folder, stored_version
from crypto_pool.adapters.sqlite_files import opened, relocate
from crypto_pool.adapters.unfinished_files import replacing
from crypto_pool.errors import BackupError

FORMAT = 1
HEADER = "backup.json"
DATA, FRAMES, MLFLOW, DAGSTER = "data", "parquet", "mlflow", "dagster"
DATABASE, ARTIFACTS = "mlflow.db", "artifacts"
DAGSTER_FOLDERS = ("history", "schedules", "storage")
POOL_FILE = "pool.toml"
# Whatever a backup holds; `*` stands for folders too. No secrets, and nothing hidden.
HELD = (
    "data/schema_version",
    "data/provenance.json",
    "data/alerts.json",
    "data/heartbeat.json",
    "data/crypto_pool-*.duckdb",
    "data/raw_answers/*.json.gz",
    "data/replays/*",
    "data/sandbox_budget/*.sqlite",
    "parquet/provenance.json",
    "parquet/*.parquet",
    "mlflow/mlflow.db",
    "mlflow/artifacts/*",
    "dagster/pool.toml",
    "dagster/history/*.db",
    "dagster/schedules/*.db",
    "dagster/storage/*/compute_logs/*",
)
_STAGE = ".backup"
_GZIP_MAGIC = b"\x1f\x8b"
_SQLITE_MAGIC = b"SQLite format 3\0"
_SQLITE_COMPANIONS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True)
class PoolFolders:
    """Where the state of a pool lies; `frames_root` may be any fsspec root."""

    data_dir: Path
    frames_root: str
    dagster_home: Path

    @property
    def mlflow(self) -> Path:
        """Folder of MLflow's database and artifacts."""
        return self.data_dir / MLFLOW

    @property
    def artifact_root(self) -> str:
        """MLflow's artifacts as its database names them."""
        return as_uri(str(self.mlflow / ARTIFACTS))


@dataclass(frozen=True)
class Archived:
    """How much an archive holds."""

    files: int
    bytes: int


def is_held(name: str) -> bool:
    """Whether a file of a backup, by its name there, is state that the pool wrote."""
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and any(fnmatchcase(name, pattern) for pattern in HELD)


def maintenance(data_dir: Path) -> BaseFileLock:
    """Return what keeps backups and the removal of old state out of each other's way."""
    return FileLock(data_dir / ".maintenance.lock")


def save_backup(
    folders: PoolFolders,
    target: Path,
    made_at: datetime,
    check: Callable[[PoolFolders], None] = lambda _: None,
) -> Archived:
    """Write the state of the pool into `target`, in place of the backup that was there.

    `check` is given a pool that holds what the backup does, and raises where it is not whole.

    Raises:
        BackupError: there is no pool, the target is something else than a backup, or champions
            changed all the while.
    """
    target = target.resolve()
    _require_replaceable(target)
    if not (folders.mlflow / DATABASE).exists():
        raise BackupError(
            f"{folders.data_dir} holds no pool to back up; run `crypto-pool build` first, "
            "or set CRYPTO_POOL_DATA_DIR to the folder of one"
        )
    open_data_folder(folders.data_dir, folders.frames_root)
    stage = folders.data_dir / _STAGE
    with maintenance(folders.data_dir), replacing(target) as beside:
        beside.touch()  # what cannot be written fails before the work
        shutil.rmtree(stage, ignore_errors=True)  # left by a killed backup
        try:
            header = _take_snapshot(folders, stage, made_at)
            _check_copy(stage, folders.artifact_root, check)
            return _write_archive(stage, header, beside)
        finally:
            shutil.rmtree(stage, ignore_errors=True)


def _require_replaceable(target: Path) -> None:
    """Raise BackupError for a device, a pipe, or a file that something else is in."""
    if target.exists():
        is_backup = target.is_file()
        if is_backup and target.stat().st_size:
            with target.open("rb") as file:
                is_backup = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        if not is_backup:
            raise BackupError(
                f"{target} is there and is no backup, so it is not replaced; name another file, "
                "for example pool.tar.gz"
            )


def _check_copy(stage: Path, root: str, check: Callable[[PoolFolders], None]) -> None:
    """Have a copy of the database checked: what is asked of it may change it."""
    copy = PoolFolders(stage, str(stage / FRAMES), stage)
    database, kept = copy.mlflow / DATABASE, stage / f"{DATABASE}.kept"
    shutil.copyfile(database, kept)
    relocate(database, root, copy.artifact_root)
    check(copy)
    for left in database.parent.glob(f"{DATABASE}*"):
        left.unlink()
    kept.rename(database)


def _take_snapshot(folders: PoolFolders, stage: Path, made_at: datetime) -> dict[str, object]:
    latest = (folders.data_dir / LINK_NAME).resolve()
    _hold_frames(folders.frames_root, stage / FRAMES)
    # Last: it holds each version that the ledger names, registered before.
    _copy_database(folders.mlflow / DATABASE, stage / MLFLOW / DATABASE)
    _hold(folders.mlflow / ARTIFACTS, stage / MLFLOW / ARTIFACTS)
    for name in (*DAGSTER_FOLDERS, POOL_FILE):
        _hold(folders.dagster_home / name, stage / DAGSTER / name)
    for path in sorted(folders.data_dir.iterdir()):
        elsewhere = path.name in {MLFLOW, _STAGE, LINK_NAME} or str(path) == folders.frames_root
        if elsewhere or (path.name.startswith("crypto_pool-") and path != latest):
            continue
        _hold(path, stage / DATA / path.name)
    return {
        "format": FORMAT,
        "schema_version": stored_version(folders.data_dir) or FIRST_VERSION,
        "made_at_utc": made_at.astimezone(UTC).isoformat(),
        "artifact_root": folders.artifact_root,
        "publication": latest.name if (stage / DATA / latest.name).exists() else None,
    }


def _hold_frames(root: str, into: Path) -> None:
    files, path = fsspec.core.url_to_fs(root)
    if isinstance(files, LocalFileSystem):
        _hold(Path(path), into)
        return
    files.invalidate_cache()
    for name in files.find(path):
        copy = into / str(name).removeprefix(path.rstrip("/") + "/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(files.cat_file(name))


def _hold(source: Path, into: Path) -> None:
    """Take a file or a folder as it is now, without what is locked or unfinished."""
    if source.is_dir():
        for path in sorted(source.iterdir()):
            _hold(path, into / path.name)
        return
    unfinished = source.name.startswith(".") or source.name.endswith((".lock", ".unfinished"))
    if unfinished or source.name.endswith(_SQLITE_COMPANIONS):
        return
    into.parent.mkdir(parents=True, exist_ok=True)
    try:
        if _is_database(source):
            _copy_database(source, into)
        else:
            _link_or_copy(source, into)
    except FileNotFoundError:
        return  # removed since it was listed, so it is no state any more


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC


def _link_or_copy(source: Path, into: Path) -> None:
    try:
        os.link(source, into)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, into)


def _copy_database(source: Path, into: Path) -> None:
    """Copy as one transaction sees it; writers wait for that moment."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with opened(source, "rw", timeout=60) as original, closing(sqlite3.connect(into)) as copy:
        original.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without companions


def _write_archive(stage: Path, header: dict[str, object], target: Path) -> Archived:
    files, size = 0, 0
    with (
        target.open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", filename="", compresslevel=4) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        _add(archive, HEADER, json.dumps(header).encode(), time())
        for path in sorted(stage.rglob("*")):
            name = path.relative_to(stage).as_posix()
            if path.is_file() and is_held(name):
                size += _add(archive, name, path.read_bytes(), path.stat().st_mtime)
                files += 1
    return Archived(files, size)


def _add(archive: tarfile.TarFile, name: str, content: bytes, changed: float) -> int:
    """Add content that was read at once, since its file may grow meanwhile."""
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o644, changed
    archive.addfile(member, io.BytesIO(content))
    return len(content)
