"""Which layout a data folder has, and the steps that bring an older one up to date.

The file `schema_version` holds one number. A step takes the folder from its number to the next;
it may be interrupted and is then done again, so it must bear that.
"""

from pathlib import Path

from filelock import FileLock

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.migrations import (
    MIGRATIONS,
    Migrations,
    gather_rows,
    has_single_rows,
    is_unmigrated,
)
from crypto_pool.adapters.unfinished_files import make_folder, replace_file
from crypto_pool.errors import IncompatibleData

FILE_NAME = "schema_version"
FIRST_VERSION = 2
"""What 1.0.0 wrote."""
MOST_DIGITS = 9


def known_version(migrations: Migrations = MIGRATIONS) -> int:
    """The version this code writes: where the chain of migrations ends."""
    return FIRST_VERSION + len(migrations)


def stored_version(data_dir: Path) -> int | None:
    """The version of a data folder; None where none was written yet.

    Raises:
        IncompatibleData: the file holds no version that a crypto_pool ever wrote.
    """
    path = data_dir / FILE_NAME
    try:
        text = path.read_text("utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    is_number = text.isdecimal() and len(text) <= MOST_DIGITS
    if not is_number or int(text) < FIRST_VERSION:
        raise IncompatibleData(
            f"{path} holds {text[:40]!r}, which is no version; write {known_version()} into it if "
            "this crypto_pool made the folder, else restore a backup"
        )
    return int(text)


def check_version(version: int, what: str, migrations: Migrations = MIGRATIONS) -> None:
    """Refuse what a later crypto_pool has written; raises IncompatibleData."""
    if version > known_version(migrations):
        raise IncompatibleData(
            f"{what} has schema version {version}, and this crypto_pool knows versions up to "
            f"{known_version(migrations)}: update it, or set CRYPTO_POOL_DATA_DIR to another folder"
        )


def open_data_folder(data_dir: Path, frames_root: str, migrations: Migrations = MIGRATIONS) -> None:
    """Make sure that the folder has the layout this code knows, and migrate it if it is older.

    `frames_root` is where its Parquet files lie.

    Raises:
        IncompatibleData: the folder is from a later crypto_pool.
    """
    if stored_version(data_dir) == known_version(migrations):
        return
    is_new = not data_dir.exists() or not any(data_dir.iterdir())
    make_folder(data_dir)
    with FileLock(data_dir / f".{FILE_NAME}.lock"):
        version = stored_version(data_dir)
        if version is None:  # a folder from before the file was introduced has the first layout
            version = known_version(migrations) if is_new else FIRST_VERSION
            replace_file(data_dir / FILE_NAME, f"{version}\n")
        check_version(version, str(data_dir), migrations)
        for step in range(version, known_version(migrations)):
            migrations[step](data_dir, frames_root)
            replace_file(data_dir / FILE_NAME, f"{step + 1}\n")


def open_store(data_dir: Path, frames_root: str) -> FrameStore:
    """Open the Parquet files of a data folder, brought up to date if they are older.

    Raises:
        IncompatibleData: they are of a later crypto_pool, or of an older one than their version.
    """
    open_data_folder(data_dir, frames_root)
    store = FrameStore(frames_root)
    if has_single_rows(store):  # a process that began before the upgrade has written on
        with FileLock(data_dir / f".{FILE_NAME}.lock"):
            gather_rows(data_dir, frames_root)
    if is_unmigrated(store):
        raise IncompatibleData(
            f"{data_dir / FILE_NAME} says {known_version()}, and the oldest forecasts below "
            f"{frames_root} are of version {FIRST_VERSION}: write {FIRST_VERSION} into it, and "
            "they are brought up to date"
        )
    return store
