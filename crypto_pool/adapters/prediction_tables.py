"""The DuckDB file people query: a read model, published anew as a whole.

`crypto_pool.duckdb` is a symbolic link to the latest publication and is swapped
atomically. An open reader keeps its file, a publication waits for no reader, and
since connections open the resolved path, a foreign `.wal` beside the link or
beside an older publication touches nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd
import pyarrow as pa
from filelock import FileLock

from crypto_pool.adapters.unfinished_files import remove_abandoned, replacing
from crypto_pool.domain.columns import DATE, JSON, MAP, TIMESTAMP, Column, Kind, Table, is_missing
from crypto_pool.domain.tables import FEATURE_TABLES, TABLES, views, with_features
from crypto_pool.errors import NothingPublished, QueryError

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
LINK_NAME = "crypto_pool.duckdb"
KEPT = 3
_PUBLICATIONS = "crypto_pool-*.duckdb"
_STORAGE_VERSION = "v1.0.0"
"""Of the file: what clients since DuckDB 1.0 read."""


@contextmanager
def publishing(data_dir: Path) -> Iterator[None]:
    """Let one publication after the other read its tables and be published."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(data_dir / ".publication.lock"):
        yield


def publish(data_dir: Path, frames: Mapping[str, pd.DataFrame], *, keep: int = KEPT) -> Path:
    """Write all tables into a new file, point the link at it and return the file.

    A table without a frame is created empty; a column missing in a frame is
    NULL. A named index counts as a column. The newest `keep` publications stay.
    Raises QueryError if a frame does not fit its table, for instance by a
    repeated key or a column the schema lacks; the link then still points at the
    last publication.
    """
    unknown = sorted(set(frames) - set(TABLES))
    if unknown:
        raise QueryError(f"no table {', '.join(unknown)}; tables are {', '.join(TABLES)}")
    data_dir.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S_%fZ")
    target = data_dir / f"crypto_pool-{stamp}.duckdb"
    remove_abandoned(data_dir)
    with replacing(target) as unfinished:
        _write_tables(unfinished, frames)
    with replacing(data_dir / LINK_NAME) as link:  # readers see the old or the new one
        link.symlink_to(target.name)
    remove_old_publications(data_dir, keep)
    return target


def remove_old_publications(data_dir: Path, keep: int = KEPT) -> int:
    """Remove publications beyond the newest `keep`, never the one the link points at."""
    latest = (data_dir / LINK_NAME).resolve()
    publications = sorted(data_dir.glob(_PUBLICATIONS), reverse=True)
    old = [path for path in publications[max(1, keep) :] if path.resolve() != latest]
    for path in old:
        _remove_database(path)
    return len(old)


def query(data_dir: Path, sql: str) -> pd.DataFrame:
    """Return the answer of the latest publication to `sql`; reading only.

    Raises NothingPublished, or QueryError with the database's own message.
    """
    frame: pd.DataFrame = _ask(data_dir, sql, lambda answer: answer.df())
    return frame


def query_arrow(data_dir: Path, sql: str) -> pa.Table:
    """Return the answer with exact types; a field of JSON text has `is` = `JSON` as metadata.

    Raises NothingPublished, or QueryError with the database's own message.
    """
    return _ask(data_dir, sql, _to_arrow_table)


def _ask(data_dir: Path, sql: str, fetch: "Callable[[duckdb.DuckDBPyRelation], T]") -> T:
    import duckdb

    link = data_dir / LINK_NAME
    if not link.exists():
        raise NothingPublished(f"{link} does not exist; run `crypto-pool build` first")
    path = link.resolve()
    try:
        with duckdb.connect(
            str(path), read_only=True, config={"enable_external_access": False}
        ) as connection:
            answer = connection.sql(sql)
            # Some statements answer nothing; an empty answer is false too.
            return fetch(connection.sql("SELECT 'done' AS answer") if answer is None else answer)
    except duckdb.Error as fault:
        raise QueryError(
            f"{LINK_NAME} refused the query: {fault}; the file is for reading only and has "
            f"the tables {', '.join(TABLES)}; `DESCRIBE table` lists a table's columns"
        ) from fault


def _to_arrow_table(answer: "duckdb.DuckDBPyRelation") -> pa.Table:
    table = answer.to_arrow_table()
    fields = [
        field.with_metadata({b"is": str(kind).encode()})
        for field, kind in zip(table.schema, answer.types, strict=True)
    ]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))


def _write_tables(path: Path, frames: Mapping[str, pd.DataFrame]) -> None:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(
            f"ATTACH {_literal(str(path))} AS pool (STORAGE_VERSION '{_STORAGE_VERSION}')"
        )
        connection.execute("USE pool")
        for name, fixed in TABLES.items():
            frame = _flatten_index(frames.get(name, pd.DataFrame()))
            table = fixed
            if fixed is FEATURE_TABLES:
                table = with_features(frame.columns)
                features = [name for name in table.names if name not in table.key]
            unknown = [str(column) for column in frame.columns if column not in table.names]
            if unknown:
                raise QueryError(
                    f"table {name} has no column {', '.join(unknown)}; add it in domain/tables.py, "
                    "or leave it out of the rows"
                )
            for statement in create_statements(table):
                connection.execute(statement)
            if not frame.empty:
                _insert(connection, table, frame)
        for view in views(features):
            connection.execute(f"CREATE VIEW {_quote(view.name)} AS {view.sql}")
            connection.execute(_comment(f"VIEW {_quote(view.name)}", view.comment))
        connection.execute("CHECKPOINT")


def create_statements(table: Table) -> list[str]:
    """Return the SQL that makes a table: its columns, its key and what each means.

    The key is said in words and checked when rows go in: a file that holds an index is one
    that DuckDB 1.0 cannot open.
    """
    name = _quote(table.name)
    columns = ", ".join(
        f"{_quote(one.name)} {one.kind.sql}{' NOT NULL' if one.name in table.key else ''}"
        for one in table.columns
    )
    return [
        f"CREATE TABLE {name} ({columns})",
        _comment(f"TABLE {name}", f"{table.comment} Key: {', '.join(table.key)}."),
        *(_comment(f"COLUMN {name}.{_quote(c.name)}", c.comment) for c in table.columns),
    ]


def _comment(what: str, words: str) -> str:
    return f"COMMENT ON {what} IS {_literal(words)}"


def _insert(connection: "duckdb.DuckDBPyConnection", table: Table, frame: pd.DataFrame) -> None:
    import duckdb

    repeated = frame[frame.duplicated([name for name in table.key if name in frame])]
    if not repeated.empty:
        raise QueryError(
            f"the {len(frame)} rows for table {table.name} do not fit it: duplicate key "
            f"{', '.join(str(repeated.iloc[0].get(name)) for name in table.key)}; "
            "the last published file stays in place"
        )
    given = [column for column in table.columns if column.name in frame.columns]
    names = ", ".join(_quote(column.name) for column in given)
    values = ", ".join(_cast(column) for column in given)
    try:
        rows = pa.table({c.name: _to_arrow(frame[c.name], c.kind) for c in given})
        connection.register("rows_to_insert", rows)
        connection.execute(
            f"INSERT INTO {_quote(table.name)} ({names}) SELECT {values} FROM rows_to_insert"
        )
        connection.unregister("rows_to_insert")
    except (duckdb.Error, pa.ArrowException, ValueError) as fault:
        raise QueryError(
            f"the {len(frame)} rows for table {table.name} do not fit it: {fault}; "
            "the last published file stays in place"
        ) from fault


def _cast(column: Column) -> str:
    value = f"CAST({_quote(column.name)} AS JSON)" if column.kind is MAP else _quote(column.name)
    return f"CAST({value} AS {column.kind.sql})"


def _to_arrow(column: pd.Series, kind: Kind) -> pa.Array:
    """Arrow values with NaN as null, times as naive UTC, and mappings as JSON."""
    if kind in (TIMESTAMP, DATE):
        times = pd.to_datetime(column, utc=True, format="ISO8601")
        return pa.array(times.dt.tz_localize(None).dt.as_unit("us"), from_pandas=True)
    if column.dtype != object:
        return pa.array(column, from_pandas=True)
    stored = kind.stored if kind in (JSON, MAP) else str
    texts = [None if is_missing(value) else stored(value) for value in column]
    return pa.array(texts, type=pa.string())


def _flatten_index(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reset_index() if any(frame.index.names) else frame


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _remove_database(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
