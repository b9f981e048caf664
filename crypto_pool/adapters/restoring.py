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
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec
from filelock import FileLock
from fsspec.implementations.local import LocalFileSystem

from crypto_pool.adapters.backup import (
    DAGSTER,
    DAGSTER_FOLDERS,
    DATA,
    DATABASE,
    FORMAT,
    FRAMES,
    HEADER,
    MLFLOW,
    Archived,
    PoolFolders,
    is_held,
)
from crypto_pool.adapters.prediction_tables import LINK_NAME
from crypto_pool.adapters.schema_version import FILE_NAME, check_version
from crypto_pool.adapters.sqlite_files import keep_write_ahead_log, relocate
from crypto_pool.adapters.unfinished_files import make_folder
from crypto_pool.errors import BackupError, IncompatibleData

LONGEST_PIECE = 1 << 20
LATEST_CHANGE = 2**33  # seconds; some file systems know no later ones


@dataclass(frozen=True)
class Bounds:
    """How much a backup may hold, unpacked; a file of some megabytes may claim any amount."""

    bytes: int = 5 * 10**9
    files: int = 250_000


def inspect_backup(source: Path, folders: PoolFolders, bounds: Bounds) -> Archived:
    """Read a backup from end to end, and say what it would restore; nothing is written.

    Raises:
        BackupError: the pool is not empty, or the file is no whole backup, holds what is none, or
            more than `bounds` or the disk.
        IncompatibleData: the backup is from a later crypto_pool.
    """
    _require_empty(folders)
    files = [content.member.size for content in _contents(source, bounds) if content.member]
    size = sum(files)
    free = shutil.disk_usage(_existing(folders.data_dir)).free
    if size > free:
        raise BackupError(
            f"{source} holds {size / 1e9:.1f} GB, and {folders.data_dir} has room for "
            f"{free / 1e9:.1f} GB; set CRYPTO_POOL_DATA_DIR to a folder on a larger disk"
        )
    return Archived(len(files), size)


def restore_backup(source: Path, folders: PoolFolders, bounds: Bounds | None = None) -> Archived:
    """Unpack a backup into the folders of an empty pool; raises what `inspect_backup` does."""
    bounds = bounds or Bounds()
    archived = inspect_backup(source, folders, bounds)
    parent = folders.data_dir.parent
    make_folder(parent)
    stage = parent / f".{folders.data_dir.name}.restoring"
    lock = Path(f"{stage}.lock")
    with FileLock(lock):
        _require_empty(folders)
        shutil.rmtree(stage, ignore_errors=True)  # left by a killed restore
        try:
            for content in _contents(source, bounds):
                content.write_below(stage)
            header, database = content.header, stage / MLFLOW / DATABASE
            relocate(database, str(header["artifact_root"]), folders.artifact_root)
            keep_write_ahead_log(database)
            if header["publication"]:
                (stage / DATA / LINK_NAME).symlink_to(str(header["publication"]))
            _move_into_place(stage, folders)
        except sqlite3.DatabaseError as fault:
            raise BackupError(
                f"{source}: {MLFLOW}/{DATABASE} cannot be read ({fault}); nothing was restored, "
                "use another one"
            ) from fault
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            lock.unlink(missing_ok=True)  # a folder that may be no pool's keeps none
    return archived


def _require_empty(folders: PoolFolders) -> None:
    occupant = next(_state(folders), None)
    if occupant is not None:
        raise BackupError(
            f"{occupant} exists, and a backup is restored into an empty pool only: set "
            "DAGSTER_HOME and CRYPTO_POOL_DATA_DIR to new folders, or move the old ones away"
        )


def _state(folders: PoolFolders) -> Iterator[str]:
    """Yield what of a pool is there; an empty folder with its version is none yet."""
    if folders.data_dir.exists():
        for path in sorted(folders.data_dir.iterdir()):
            if not _is_of_an_empty_folder(path):
                yield str(path)
    files, root = fsspec.core.url_to_fs(folders.frames_root)
    if files.exists(root):
        yield from files.find(root)
    for name in DAGSTER_FOLDERS:
        if os.path.lexists(folders.dagster_home / name):
            yield str(folders.dagster_home / name)


def _is_of_an_empty_folder(path: Path) -> bool:
    return path.is_file() and (path.name == FILE_NAME or path.name.endswith(".lock"))


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


class _Packed(gzip.GzipFile):
    """Gives no more at once than a piece of a file: a header may claim any length."""

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes."""
        if size is None or not 0 <= size <= LONGEST_PIECE:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size)


class _Content(NamedTuple):
    """A file of a backup as it is read, and the backup's header; at the end without a file."""

    header: dict[str, Any]
    archive: tarfile.TarFile
    member: tarfile.TarInfo | None

    def write_below(self, stage: Path) -> None:
        """Write the file, with the permissions of any new file here.

        By hand, as the `filter` that lets `extract` refuse the rest came with Python 3.11.4.
        """
        content = self.archive.extractfile(self.member) if self.member else None
        if self.member is None or content is None:
            return
        target = stage / self.member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(content, file)
        # `status` tells when a pool was published.
        os.utime(target, (self.member.mtime, self.member.mtime))


def _contents(source: Path, bounds: Bounds) -> Iterator[_Content]:
    """Yield the files of a backup, each looked at first, and at the end what holds for all."""
    names: set[str] = set()
    folders: set[str] = set()
    try:
        with _Packed(source) as packed, tarfile.open(fileobj=packed, mode="r:") as archive:
            header = _read_header(source, archive, archive.next())
            while (member := archive.next()) is not None:
                vars(archive)["members"].clear()  # it would keep all of them
                _check(source, member, bounds)
                parents = {str(parent) for parent in PurePosixPath(member.name).parents}
                if member.name in names or member.name in folders or parents & names:
                    raise BackupError(f"{source} holds {member.name} twice; refused")
                names.add(member.name)
                folders |= parents
                if len(names) > bounds.files:
                    raise _too_much(source, f"{bounds.files} files", "--max-files N")
                yield _Content(header, archive, member)
            while packed.read(LONGEST_PIECE):  # to the end, where the checksum is
                if packed.tell() > bounds.bytes:
                    raise _too_much(source, f"{bounds.bytes / 1e9:g} GB", "--max-gb N")
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, RecursionError) as fault:
        raise BackupError(
            f"{source} is no whole backup ({fault}); nothing was restored, use another one"
        ) from fault
    published = header["publication"]
    if f"{MLFLOW}/{DATABASE}" not in names or (
        published is not None and f"{DATA}/{published}" not in names
    ):
        raise BackupError(f"{source} holds no pool; nothing was restored, use another one")
    yield _Content(header, archive, None)


def _check(source: Path, member: tarfile.TarInfo, bounds: Bounds) -> None:
    path, fault = PurePosixPath(member.name), ""
    if path.is_absolute() or ".." in path.parts:
        fault = "leads out of the backup"
    elif not member.isreg() or member.issparse() or not 0 <= member.mtime < LATEST_CHANGE:
        fault = "is no regular file"
    elif str(path) != member.name or not member.name.isprintable() or not is_held(member.name):
        fault = "is nothing that a backup of a pool holds"
    if fault:
        raise BackupError(f"{source}: {member.name!r} {fault}; refused")
    if member.offset_data + member.size > bounds.bytes:
        raise _too_much(source, f"{bounds.bytes / 1e9:g} GB", "--max-gb N")


def _too_much(source: Path, limit: str, way_out: str) -> BackupError:
    return BackupError(
        f"{source} holds more than {limit}, and nothing was restored; "
        f"if it is your own, allow more with {way_out}"
    )


def _read_header(
    source: Path, archive: tarfile.TarFile, member: tarfile.TarInfo | None
) -> dict[str, Any]:
    content = archive.extractfile(member) if member and member.name == HEADER else None
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
        for path in sorted((stage / DAGSTER).iterdir()) if (stage / DAGSTER).exists() else []:
            target = folders.dagster_home / path.name
            if target.exists():  # the settings that the home has already
                continue
            make_folder(folders.dagster_home)
            moved.append(target)
            shutil.move(path, target)
        if folders.data_dir.exists():
            for path in filter(_is_of_an_empty_folder, folders.data_dir.iterdir()):
                path.unlink()
            folders.data_dir.rmdir()
        os.rename(data, folders.data_dir)
    except BaseException:
        for path in moved:
            path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)
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
        shutil.rmtree(target)  # it was looked at, and holds no file
    shutil.move(frames, target)
