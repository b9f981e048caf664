"""The SQLite files of MLflow and Dagster: how soon what is committed is on the disk.

A file with a write-ahead log is never torn, also where a commit does not wait for the disk; but a
power cut may then take back the last commits. A killed process takes back none. What must outlive
a power cut is brought to the disk by `reach_disk`.
"""

import errno
import os
import shutil
import sqlite3
import weakref
from contextlib import closing, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

from crypto_pool.adapters.unfinished_files import sync

SQLITE_PREFIX = "sqlite:///"
BUSY_SECONDS = 1.0
WRITER_SECONDS = 10.0
ROOM_FOR_A_LOG = 64 * 1024  # twice its index
HELD_FILES = 8


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an SQLite store; None for another store."""
    return Path(uri.removeprefix(SQLITE_PREFIX)) if uri.startswith(SQLITE_PREFIX) else None


def opened(path: Path, mode: Literal["ro", "rw"], **options: Any) -> closing[sqlite3.Connection]:
    """Open a file that is there, and close it after use."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return closing(sqlite3.connect(uri, uri=True, **options))


def keep_write_ahead_log(path: Path) -> None:
    """Give a file a write-ahead log, for good; one that is in use keeps its journal till next time.

    Source: https://www.sqlite.org/wal.html

    Raises:
        OSError: there is no room for the log; SQLite speaks of an I/O error.
    """
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as fault:
        if shutil.disk_usage(path.parent).free < ROOM_FOR_A_LOG:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from fault
        if "locked" not in str(fault):
            raise


def await_writable(path: Path) -> None:
    """Wait until no other process is writing; raises sqlite3.OperationalError when one goes on."""
    with closing(sqlite3.connect(path, timeout=WRITER_SECONDS)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


def reach_disk(uri: str) -> None:
    """Wait until all that is committed is on the disk; a server minds that itself.

    A commit that waits for the disk takes along the log before it, whoever reads meanwhile; a
    checkpoint would have to wait for the readers. Raises sqlite3.OperationalError when another
    process goes on writing.
    """
    path = sqlite_path(uri)
    if path is None:
        return
    with opened(path, "rw", timeout=WRITER_SECONDS, isolation_level=None) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        ((version,),) = connection.execute("PRAGMA user_version")
        connection.execute(f"PRAGMA user_version={version}")  # as it was: it is written anyway
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # shortens the log
    sync(path.parent)  # it names the log


def relocate(database: Path, old_root: str, new_root: str) -> None:
    """Let every address below one root in a database be below another.

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


@cache
def commit_without_waiting() -> None:
    """Let no SQLAlchemy connection of this process wait for the disk at each commit or close.

    Only where there is a write-ahead log: without one, a power cut could tear the file. A new file
    has one from its first table on, each of which would be waited for. Dagster
    connects anew for each event, and the last connection to close a file waits until its log is
    in it; so one more is held open to each of the files that were connected to last, until the
    process ends.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def _at_once(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            ((mode,),) = connection.execute("PRAGMA journal_mode")
            if mode == "delete" and connection.execute("PRAGMA page_count").fetchone() == (0,):
                with suppress(sqlite3.OperationalError):  # another process makes it just now
                    ((mode,),) = connection.execute("PRAGMA journal_mode=WAL")
            if mode == "wal":
                connection.execute("PRAGMA synchronous=NORMAL")
                ((_, _, path),) = connection.execute("PRAGMA database_list")
                hold_open(path)


@lru_cache(maxsize=HELD_FILES)
def hold_open(path: str) -> "Held":
    """Hold a file open until so many others were asked for."""
    return Held(path)


class Held:
    """A connection without a transaction, closed as soon as nobody refers to it."""

    def __init__(self, path: str) -> None:
        """Open the file."""
        connection = sqlite3.connect(path, check_same_thread=False)
        # One of sqlite3 that is only forgotten may stay open for long. It also runs at exit.
        weakref.finalize(self, connection.close)
        # SQLite reads the file, and joins its log, with the first query.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
