"""SQLite files that several processes use: what is on the disk, and when."""

import shutil
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace

import pytest
import sqlalchemy

from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.sqlite_files import (
    commit_without_waiting,
    hold_open,
    keep_write_ahead_log,
    reach_disk,
    relocate,
)

FULL, NORMAL = 2, 1


def synchronous(path, **options) -> int:
    """How long a commit of a new SQLAlchemy connection waits."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", connect_args=options)
    with engine.connect() as connection:
        found = connection.execute(sqlalchemy.text("PRAGMA synchronous")).scalar_one()
    engine.dispose()
    return int(found)


def table(path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0)
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    return connection


def test_a_commit_waits_for_the_disk_only_where_the_file_could_be_torn(tmp_path):
    commit_without_waiting()
    for name in ("journal", "log"):
        table(tmp_path / name).close()
    keep_write_ahead_log(tmp_path / "log")
    assert synchronous(tmp_path / "journal") == FULL
    assert synchronous(tmp_path / "log") == NORMAL


def test_a_new_file_waits_for_the_disk_at_none_of_its_tables(tmp_path):
    commit_without_waiting()
    path = tmp_path / "new"
    assert synchronous(path) == NORMAL
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE written (a)"))
    assert b"written" not in path.read_bytes()
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("written",)]
    engine.dispose()


def test_a_new_file_that_another_process_makes_just_now_keeps_its_journal(tmp_path):
    commit_without_waiting()
    with closing(sqlite3.connect(tmp_path / "new")) as other:
        other.execute("BEGIN IMMEDIATE")
        assert synchronous(tmp_path / "new", timeout=0) == FULL


def test_a_close_waits_for_the_disk_only_once_other_files_are_in_use(tmp_path):
    commit_without_waiting()
    paths = [tmp_path / f"file{number}" for number in range(9)]
    for path in paths:
        table(path).close()
        keep_write_ahead_log(path)
        engine = sqlalchemy.create_engine(f"sqlite:///{path}", poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("INSERT INTO t VALUES ('written')"))
        assert b"written" not in path.read_bytes()
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT a FROM t").fetchall() == [("written",)]
    in_the_file = [b"written" in path.read_bytes() for path in paths]
    assert in_the_file == [True] + [False] * 8


WRITER = """
import sys, sqlalchemy
from crypto_pool.adapters.sqlite_files import commit_without_waiting
commit_without_waiting()
engine = sqlalchemy.create_engine(f"sqlite:///{sys.argv[1]}", poolclass=sqlalchemy.NullPool)
with engine.begin() as connection:
    connection.execute(sqlalchemy.text("INSERT INTO t VALUES ('written')"))
"""


def test_a_process_that_ends_leaves_all_in_the_file_and_no_log(tmp_path):
    path = tmp_path / "file"
    table(path).close()
    keep_write_ahead_log(path)
    subprocess.run([sys.executable, "-c", WRITER, str(path)], check=True)
    assert list(tmp_path.iterdir()) == [path]
    assert b"written" in path.read_bytes()


def test_a_file_that_a_thread_held_is_let_go_by_any_other(tmp_path):
    path = tmp_path / "file"
    table(path).close()
    keep_write_ahead_log(path)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(hold_open, str(path)).result()
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("INSERT INTO t VALUES ('written')")
        writer.commit()
    assert b"written" not in path.read_bytes()
    hold_open.cache_clear()
    assert b"written" in path.read_bytes()


def test_a_file_in_use_keeps_its_journal_until_the_next_time(tmp_path):
    path = tmp_path / "used"
    with closing(table(path)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        keep_write_ahead_log(path)
        assert time.monotonic() - begun > 0.9  # somebody may be done in a moment
    assert synchronous(path) == FULL
    keep_write_ahead_log(path)
    assert synchronous(path) == NORMAL


def test_a_file_that_does_not_open_is_told_from_a_full_disk(tmp_path, monkeypatch):
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        keep_write_ahead_log(tmp_path)
    usage = SimpleNamespace(free=64 * 1024)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        keep_write_ahead_log(tmp_path)
    usage.free -= 1
    with pytest.raises(OSError, match="No space left on device") as told:
        keep_write_ahead_log(tmp_path)
    assert told.value.filename == str(tmp_path)


def test_what_reached_the_disk_is_in_the_file_itself(tmp_path):
    path = tmp_path / "file"
    table(path).close()
    keep_write_ahead_log(path)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("INSERT INTO t VALUES ('kept')")
        writer.commit()
        assert b"kept" not in path.read_bytes()
        reach_disk(f"sqlite:///{path}")
        assert b"kept" in path.read_bytes()


def test_a_pools_store_has_a_log_from_its_first_day_and_gets_one_later(tmp_path):
    path = tmp_path / "mlflow.db"
    registry = ModelRegistry(f"sqlite:///{path}", str(tmp_path / "artifacts"))
    registry.prepare()
    assert synchronous(path) == NORMAL
    registry.client._tracking_client.store.engine.dispose()
    hold_open.cache_clear()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    ModelRegistry(f"sqlite:///{path}", str(tmp_path / "artifacts")).prepare()
    assert synchronous(path) == NORMAL


def test_addresses_below_a_root_follow_it_whatever_column_holds_them(tmp_path):
    """And no text that only begins alike, nor what is no text."""
    path, old, new = tmp_path / "file", "file:///old", "file:///a/new"
    other, within = f"{old}er/x", f"see {old}/x"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE a (id INTEGER, uri VARCHAR(200), size REAL, at text)")
        connection.execute("CREATE TABLE b (name TEXT)")
        rows = [(1, f"{old}/run", 2.0, old), (2, other, 3.0, f"{old}/")]
        connection.executemany("INSERT INTO a VALUES (?, ?, ?, ?)", rows)
        connection.executemany("INSERT INTO b VALUES (?)", [(f"{old}/x/y",), (within,)])
        connection.commit()
    for _ in range(2):
        relocate(path, old, new)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT uri, at FROM a").fetchall() == [
            (f"{new}/run", new),
            (other, f"{new}/"),
        ]
        assert connection.execute("SELECT name FROM b").fetchall() == [(f"{new}/x/y",), (within,)]
