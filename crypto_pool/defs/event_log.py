"""How a process that runs the pool writes Dagster's event log."""

from functools import cache, lru_cache, partial

from crypto_pool.adapters.sqlite_files import HELD_FILES, commit_without_waiting


@cache
def write_at_once() -> None:
    """Wait for the disk at no commit, and keep an engine for each file.

    Dagster makes one for each event, which then writes the SQL of each statement anew: a tenth of
    a day's processor time.
    """
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
    from sqlalchemy import NullPool, create_engine

    commit_without_waiting()
    wait = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
    make = partial(create_engine, poolclass=NullPool, connect_args=wait)
    engine_of = lru_cache(maxsize=HELD_FILES)(make)
    vars(sqlite_event_log)["create_engine"] = lambda url, **_: engine_of(url)
