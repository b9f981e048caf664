"""A backup unpacked into a new pool, wherever that lies.

Everything is unpacked and made ready beside its place, then moved there: what was refused or
interrupted has changed no pool.
"""

import gzip
import json
import os
import shutil
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from filelock import FileLock
from fsspec.implementations.local import LocalFileSystem

from crypto_pool.adapters.backup import (
    DAGSTER,
    DATA,
    DATABASE,
    FORMAT,
    FRAMES,
    HEADER,
    MLFLOW,
    Archived,
    PoolFolders,
)
from crypto_pool.adapters.prediction_tables import LINK_NAME
from crypto_pool.adapters.schema_version import FILE_NAME, check_version
from crypto_pool.adapters.sqlite_files import keep_write_ahead_log
from crypto_pool.errors import BackupError, IncompatibleData


def restore_backup(source: Path, folders: PoolFolders) -> Archived:
    """Unpack a backup into the folders of an empty pool.

    Raises:
        BackupError: the pool is not empty, or the file is no whole backup.
        IncompatibleData: the backup is from a later crypto_pool.
    """
    parent = folders.data_dir.parent
    parent.mkdir(parents=True, exist_ok=True)
    stage = parent / f".{folders.data_dir.name}.restoring"
    with _alone(Path(f"{stage}.lock")):
        _require_empty(folders)
        shutil.rmtree(stage, ignore_errors=True)  # left by a killed restore
        try:
            archived, header = _unpack(source, stage)
            relocate_artifacts(
                stage / MLFLOW / DATABASE, str(header["artifact_root"]), folders.artifact_root
            )
            keep_write_ahead_log(stage / MLFLOW / DATABASE)
            if header["publication"]:
                (stage / DATA / LINK_NAME).symlink_to(str(header["publication"]))
            _move_into_place(stage, folders)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    return archived


def relocate_artifacts(database: Path, old_root: str, new_root: str) -> None:
    """Let every artifact URI of an MLflow database begin with another root.

    Whatever column holds one: the list of them differs between versions of MLflow.
    """
    with closing(sqlite3.connect(database)) as connection, connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
            for _, column, kind, *_ in columns:
                if "CHAR" not in kind.upper() and "TEXT" not in kind.upper():
                    continue
                connection.execute(
                    f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?) '
                    f'WHERE "{column}" = ? OR substr("{column}", 1, ?) = ?',
                    (new_root, len(old_root) + 1, old_root, len(old_root) + 1, f"{old_root}/"),
                )


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep other restores out, and leave no lock file in a folder that may be no pool's."""
    with FileLock(lock):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _require_empty(folders: PoolFolders) -> None:
    found = list(_state(folders))
    if found:
        raise BackupError(
            f"{found[0]} exists, and a backup is restored into an empty pool only: set "
            "DAGSTER_HOME and CRYPTO_POOL_DATA_DIR to new folders, or move the old ones away"
        )


def _state(folders: PoolFolders) -> Iterator[str]:
    """Yield what of a pool is there; an empty folder with its version is none yet."""
    if folders.data_dir.exists():
        for path in sorted(folders.data_dir.iterdir()):
            if path.name != FILE_NAME and not path.name.endswith(".lock"):
                yield str(path)
    files, root = fsspec.core.url_to_fs(folders.frames_root)
    if files.exists(root):
        yield from files.find(root)
    for name in ("history", "schedules"):
        if (folders.dagster_home / name).exists():
            yield str(folders.dagster_home / name)


def _unpack(source: Path, stage: Path) -> tuple[Archived, dict[str, Any]]:
    header: dict[str, Any] | None = None
    files, size = 0, 0
    try:
        with gzip.open(source) as packed:
            with tarfile.open(fileobj=packed, mode="r|") as archive:
                for member in archive:
                    if header is None:
                        header = _read_header(source, archive, member)
                        continue
                    _write_file(source, archive, member, stage)
                    files, size = files + 1, size + member.size
            while packed.read(1 << 20):  # to the end, where the checksum is
                pass
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as fault:
        raise BackupError(
            f"{source} is no whole backup ({fault}); nothing was restored, use another one"
        ) from fault
    if header is None or not (stage / MLFLOW / DATABASE).exists():
        raise BackupError(f"{source} holds no pool; nothing was restored, use another one")
    return Archived(files, size), header


def _write_file(
    source: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, stage: Path
) -> None:
    """Write one file below the stage, with the permissions of any new file here.

    By hand, as the `filter` that lets `extract` refuse the rest came with Python 3.11.4.
    """
    content = archive.extractfile(member) if member.isfile() else None
    if content is None:
        raise BackupError(f"{source}: {member.name} is no regular file; refused")
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise BackupError(f"{source}: {member.name} leads out of the backup; refused")
    target = stage / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(content, file)
    os.utime(target, (member.mtime, member.mtime))  # `status` tells when a pool was published


def _read_header(source: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    content = archive.extractfile(member) if member.name == HEADER else None
    if content is None:
        raise BackupError(f"{source} does not begin with {HEADER}, so it is no backup of a pool")
    try:
        header: dict[str, Any] = json.loads(content.read())
        form, version = int(header["format"]), int(header["schema_version"])
        complete = {"artifact_root", "publication"} <= header.keys()
    except (ValueError, KeyError, TypeError) as fault:
        raise BackupError(f"{source}: {HEADER} is malformed ({fault!r})") from fault
    if form > FORMAT:
        raise IncompatibleData(
            f"{source} is a backup of format {form}, and this crypto_pool reads formats up to "
            f"{FORMAT}: update it"
        )
    check_version(version, str(source))
    publication = header.get("publication")
    if not complete or (publication is not None and Path(publication).name != publication):
        raise BackupError(f"{source}: {HEADER} is malformed")
    return header


def _move_into_place(stage: Path, folders: PoolFolders) -> None:
    """Move the parts, the data folder last: with it the pool is there."""
    data = stage / DATA
    data.mkdir(exist_ok=True)
    os.rename(stage / MLFLOW, data / MLFLOW)
    moved: list[Path] = []
    try:
        if (stage / FRAMES).exists():
            _place_frames(stage / FRAMES, folders, data, moved)
        for folder in sorted((stage / DAGSTER).iterdir()) if (stage / DAGSTER).exists() else []:
            folders.dagster_home.mkdir(parents=True, exist_ok=True)
            moved.append(folders.dagster_home / folder.name)
            shutil.rmtree(folders.dagster_home / folder.name, ignore_errors=True)
            shutil.move(folder, folders.dagster_home / folder.name)
        if folders.data_dir.exists():
            shutil.rmtree(folders.data_dir)  # empty but for its version and locks
        os.rename(data, folders.data_dir)
    except BaseException:
        for path in moved:
            shutil.rmtree(path, ignore_errors=True)
        raise


def _place_frames(frames: Path, folders: PoolFolders, data: Path, moved: list[Path]) -> None:
    files, root = fsspec.core.url_to_fs(folders.frames_root)
    if not isinstance(files, LocalFileSystem):
        for path in sorted(frames.rglob("*")):
            if path.is_file():
                files.pipe_file(f"{root}/{path.relative_to(frames)}", path.read_bytes())
        return
    target = Path(root)
    if target.is_relative_to(folders.data_dir):
        target = data / target.relative_to(folders.data_dir)
    else:
        moved.append(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)  # holds no file, or what was saved with the data folder too
    shutil.move(frames, target)
