"""The DuckDB file people query: a read model, published anew where what is stored changed.

`crypto_pool.duckdb` is a symbolic link to the latest publication and is swapped
atomically. A publication is a copy of the one before in which the rows of what changed are
replaced, so an open reader keeps its file and a publication waits for no reader;
since connections open the resolved path, a foreign `.wal` beside the link or
beside an older publication touches nothing.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import pyarrow as pa

from crypto_pool.adapters.unfinished_files import replace_file, replacing
from crypto_pool.errors import NothingPublished, QueryError

if TYPE_CHECKING:  # whoever only asks loads no pandas
    import duckdb
    import pandas as pd

    from crypto_pool.adapters.publication_rows import Change

T = TypeVar("T")
LINK_NAME = "crypto_pool.duckdb"
KEPT = 3
_PUBLICATIONS = "crypto_pool-*.duckdb"
_SOURCES = ".published.json"
Sources = Mapping[str, Mapping[str, str]]
"""By table and key, the marks of files."""


@contextmanager
def publishing(data_dir: Path) -> Iterator[None]:
    """Let one publication after the other read its tables and be published."""
    data_dir.mkdir(parents=True, exist_ok=True)
    from filelock import FileLock

    with FileLock(data_dir / ".publication.lock"):
        yield


def publish(
    data_dir: Path, changes: "Mapping[str, Change | pd.DataFrame]", *, keep: int = KEPT
) -> Path:
    """Write a new file, point the link at it and return the file.

    A table that is given as a whole, as a frame, or not at all is made anew; others are those of
    the last publication but for what a `Change` replaces. A column missing in a frame is
    NULL. A named index counts as a column. The newest `keep` publications stay.
    Raises QueryError if a frame does not fit its table, for instance by a
    repeated key or a column the schema lacks; the link then still points at the
    last publication.
    """
    from crypto_pool.adapters.publication_rows import Change, write_tables
    from crypto_pool.domain.tables import TABLES

    unknown = sorted(set(changes) - set(TABLES))
    if unknown:
        raise QueryError(f"no table {', '.join(unknown)}; tables are {', '.join(TABLES)}")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S_%fZ")
    target = data_dir / f"crypto_pool-{stamp}.duckdb"
    base = (data_dir / LINK_NAME).resolve()
    given = {
        name: one if isinstance(one, Change) else Change([one]) for name, one in changes.items()
    }
    with replacing(target) as unfinished:
        if any(change.groups is not None for change in given.values()):
            shutil.copyfile(base, unfinished)
        write_tables(unfinished, given, base)
    with replacing(data_dir / LINK_NAME) as link:  # readers see the old or the new one
        link.symlink_to(target.name)
    remove_old_publications(data_dir, keep)
    return target


def set_folders_aside(data_dir: Path) -> dict[str, str]:
    """Rename the folders that stand where files of publications belong; say so by their name."""
    renamed = {}
    for path in (data_dir / LINK_NAME, data_dir / _SOURCES, *data_dir.glob(_PUBLICATIONS)):
        if path.is_dir() and not path.is_symlink():
            aside = path.rename(path.with_name(f"aside-{uuid4().hex[:8]}-{path.name}"))
            renamed[path.name] = (
                f"a folder stood in its place in {data_dir}; it is {aside.name} now"
            )
    return renamed


def note_sources(data_dir: Path, sources: Sources) -> None:
    """Note of which files, by their marks, the latest publication is made."""
    path = (data_dir / LINK_NAME).resolve()
    replace_file(data_dir / _SOURCES, json.dumps({"of": _mark(path), "sources": sources}))


def noted_sources(data_dir: Path) -> Sources:
    """Return what was noted; nothing where that is lost, or the publication is not that one."""
    try:
        noted = json.loads((data_dir / _SOURCES).read_text("utf-8"))
        is_of_it = noted["of"] == _mark((data_dir / LINK_NAME).resolve())
        return {name: dict(one) for name, one in noted["sources"].items()} if is_of_it else {}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _mark(path: Path) -> list[str | int]:
    stat = path.stat()
    return [path.name, stat.st_mtime_ns, stat.st_ino, stat.st_size]


def remove_old_publications(data_dir: Path, keep: int = KEPT) -> int:
    """Remove publications beyond the newest `keep`, never the one the link points at."""
    latest = (data_dir / LINK_NAME).resolve()
    publications = sorted(data_dir.glob(_PUBLICATIONS), reverse=True)
    old = [path for path in publications[keep:] if path.resolve() != latest]
    for path in old:
        _remove_database(path)
    return len(old)


def query(data_dir: Path, sql: str) -> "pd.DataFrame":
    """Return the answer of the latest publication to `sql`; reading only.

    Raises NothingPublished, or QueryError with the database's own message.
    """
    frame: pd.DataFrame = _ask(data_dir, sql, lambda answer: answer.df())
    return frame


def query_arrow(data_dir: Path, sql: str) -> pa.Table:
    """Return the answer with exact types; a field of JSON text has `is` = `JSON` as metadata.

    Of columns of one name the later ones are numbered.
    Raises NothingPublished, or QueryError with the database's own message.
    """
    return _ask(data_dir, sql, _to_arrow_table)


def _ask(data_dir: Path, sql: str, fetch: "Callable[[duckdb.DuckDBPyRelation], T]") -> T:
    import duckdb

    if not sql.isascii() and sql != sql.encode(errors="replace").decode():
        raise QueryError("the SQL holds bytes that are no UTF-8: write it in a terminal that is")
    link = data_dir / LINK_NAME
    if not link.exists():
        raise NothingPublished(f"{link} does not exist; run `crypto-pool build` first")
    path = link.resolve()
    try:
        with duckdb.connect(
            str(path), read_only=True, config={"enable_external_access": False}
        ) as connection:
            statements = connection.extract_statements(sql)
            if len(statements) > 1:
                raise QueryError(
                    f"one statement is taken, and these are {len(statements)}; ask each by itself"
                )
            answer = connection.sql(sql)
            # Some statements answer nothing; an empty answer is false too.
            return fetch(connection.sql("SELECT 'done' AS answer") if answer is None else answer)
    except duckdb.Error as fault:
        # What has no class of its own is a checksum that is not that of its block.
        if type(fault) in (duckdb.Error, duckdb.IOException, duckdb.FatalException):
            raise NothingPublished(
                f"{link} cannot be read: {fault}; run `crypto-pool build`, which publishes anew"
            ) from fault
        raise QueryError(
            f"{LINK_NAME} refused the query: {fault}; the file is for reading only: `SHOW TABLES` "
            "lists its tables, `DESCRIBE table` a table's columns"
        ) from fault


def _to_arrow_table(answer: "duckdb.DuckDBPyRelation") -> pa.Table:
    if len(set(answer.columns)) < len(answer.columns):  # of a join; a row is to keep each
        answer = answer.project("*")
    table = answer.to_arrow_table()
    fields = [
        field.with_metadata({b"is": str(kind).encode()})
        for field, kind in zip(table.schema, answer.types, strict=True)
    ]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))


def _remove_database(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
