"""The tables of a publication, written into its DuckDB file: rows, keys, comments and views."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from crypto_pool import keep_loaded
from crypto_pool.domain.columns import DATE, JSON, MAP, TIMESTAMP, Column, Kind, Table
from crypto_pool.domain.tables import FEATURE_TABLES, TABLES, with_features
from crypto_pool.domain.views import views
from crypto_pool.errors import QueryError

if TYPE_CHECKING:
    import duckdb

_STORAGE_VERSION = "v1.0.0"
"""Of the file: what clients since DuckDB 1.0 read."""


@dataclass(frozen=True)
class Change:
    """The rows of some partitions of a table, or of all, where `groups` is None.

    A group are the values, as text, of the columns its table is partitioned by. Of the `damaged`
    ones, which are known once all frames have been read, the rows of the last publication stay.
    """

    frames: Iterable[pd.DataFrame]
    groups: frozenset[tuple[str, ...]] | None = None
    damaged: set[tuple[str, ...]] = field(default_factory=set)


def write_tables(path: Path, changes: Mapping[str, Change], base: Path) -> None:
    """Bring the file to the state of the changes, all tables and views there.

    `base` is the last publication. Raises QueryError.
    """
    keep_loaded()
    import duckdb

    try:
        with duckdb.connect() as connection:
            connection.execute(
                f"ATTACH {_literal(str(path))} AS pool (STORAGE_VERSION '{_STORAGE_VERSION}')"
            )
            connection.execute("USE pool")
            anew = [name for name in TABLES if _change(changes, name).groups is None]
            for name in anew:
                connection.execute(f"DROP TABLE IF EXISTS {_quote(name)}")
            connection.execute("CHECKPOINT")  # the space of what was dropped is free from here on
            for name, table in TABLES.items():
                _replace_rows(connection, table, _change(changes, name), base)
            known = _columns(connection, "pool", FEATURE_TABLES.name)
            for view in views(name for name in known if name not in FEATURE_TABLES.key):
                connection.execute(f"CREATE OR REPLACE VIEW {_quote(view.name)} AS {view.sql}")
                connection.execute(_comment(f"VIEW {_quote(view.name)}", view.comment))
            connection.execute("CHECKPOINT")
    except duckdb.Error as fault:
        raise QueryError(f"the tables cannot be published: {fault}") from fault


def _change(changes: Mapping[str, Change], name: str) -> Change:
    return changes.get(name, Change(()))


def _replace_rows(
    connection: "duckdb.DuckDBPyConnection", fixed: Table, change: Change, base: Path
) -> None:
    name, groups = _quote(fixed.name), change.groups
    is_made = groups is not None
    if groups:
        connection.execute(f"DELETE FROM {name} AS t WHERE {_is_of(connection, fixed, groups)}")
    for frame in map(_flatten_index, change.frames):
        if frame.empty:
            continue
        table = with_features(frame.columns) if fixed is FEATURE_TABLES else fixed
        unknown = [str(column) for column in frame.columns if column not in table.names]
        if unknown:
            raise QueryError(
                f"table {fixed.name} has no column {', '.join(unknown)}; add it in "
                "domain/tables.py, or leave it out of the rows"
            )
        if is_made and fixed is FEATURE_TABLES:
            there = _columns(connection, "pool", fixed.name)
            for column in (one for one in table.columns if one.name not in there):
                connection.execute(f"ALTER TABLE {name} ADD {_declared(column, table)}")
                connection.execute(_column_comment(table, column))
        for statement in () if is_made else create_statements(table):
            connection.execute(statement)
        is_made = True
        _insert(connection, table, frame)
    for statement in () if is_made else create_statements(fixed):
        connection.execute(statement)
    if change.damaged and base.is_file():
        _bring_back(connection, fixed, change.damaged, base)
    keys = ", ".join(map(_quote, fixed.key))
    twice = f"SELECT {keys} FROM {name} GROUP BY ALL HAVING count(*) > 1 LIMIT 1"
    is_touched = groups is None or len(groups) > 0
    repeated = connection.execute(twice).fetchone() if is_touched else None
    if repeated is not None:
        raise QueryError(
            f"the rows for table {fixed.name} do not fit it: duplicate key "
            f"{', '.join(map(str, repeated))}; the last published file stays in place"
        )


def _bring_back(
    connection: "duckdb.DuckDBPyConnection",
    table: Table,
    groups: Iterable[tuple[str, ...]],
    base: Path,
) -> None:
    """Give groups the rows of the last publication whose keys are not there."""
    import duckdb

    try:
        connection.execute(f"ATTACH {_literal(str(base))} AS before (READ_ONLY)")
    except duckdb.Error:  # it is damaged as well: those rows are lost until they are made again
        return
    name = _quote(table.name)
    there = _columns(connection, "pool", table.name)
    shared = ", ".join(
        _quote(one) for one in _columns(connection, "before", table.name) if one in there
    )
    same = " AND ".join(f"n.{_quote(one)} = t.{_quote(one)}" for one in table.key)
    if shared:
        connection.execute(
            f"INSERT INTO {name} ({shared}) SELECT {shared} FROM before.main.{name} AS t WHERE "
            f"{_is_of(connection, table, groups)} "
            f"AND NOT EXISTS (SELECT 1 FROM {name} AS n WHERE {same})"
        )
    connection.execute("DETACH before")


def _is_of(
    connection: "duckdb.DuckDBPyConnection", table: Table, groups: Iterable[tuple[str, ...]]
) -> str:
    """Return the condition, in SQL, of rows `t` that are of one of some groups."""
    names = table.partitioned_by
    texts = zip(*groups, strict=True)
    connection.register("groups_to_choose", pa.table(dict(zip(names, texts, strict=True))))
    same = " AND ".join(f"g.{_quote(one)} = CAST(t.{_quote(one)} AS VARCHAR)" for one in names)
    return f"EXISTS (SELECT 1 FROM groups_to_choose AS g WHERE {same})"


def _columns(connection: "duckdb.DuckDBPyConnection", database: str, table: str) -> list[str]:
    result = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = ? AND table_name = ? "
        "ORDER BY column_index",
        [database, table],
    )
    return [str(name) for (name,) in result.fetchall()]


def create_statements(table: Table) -> list[str]:
    """Return the SQL that makes a table: its columns, its key and what each means.

    The key is said in words and checked when rows go in: a file that holds an index is one
    that DuckDB 1.0 cannot open.
    """
    name = _quote(table.name)
    columns = ", ".join(_declared(one, table) for one in table.columns)
    return [
        f"CREATE TABLE {name} ({columns})",
        _comment(f"TABLE {name}", f"{table.comment} Key: {', '.join(table.key)}."),
        *(_column_comment(table, column) for column in table.columns),
    ]


def _declared(column: Column, table: Table) -> str:
    needed = " NOT NULL" if column.name in table.key else ""
    return f"{_quote(column.name)} {column.kind.sql}{needed}"


def _column_comment(table: Table, column: Column) -> str:
    return _comment(f"COLUMN {_quote(table.name)}.{_quote(column.name)}", column.comment)


def _comment(what: str, words: str) -> str:
    return f"COMMENT ON {what} IS {_literal(words)}"


def _insert(connection: "duckdb.DuckDBPyConnection", table: Table, frame: pd.DataFrame) -> None:
    import duckdb

    given = [column for column in table.columns if column.name in frame.columns]
    names = ", ".join(_quote(column.name) for column in given)
    values = ", ".join(_cast(column) for column in given)
    try:
        rows = pa.table({c.name: _to_arrow(frame[c.name], c.kind) for c in given})
        connection.register("rows_to_insert", rows)  # in place of those before
        connection.execute(
            f"INSERT INTO {_quote(table.name)} ({names}) SELECT {values} FROM rows_to_insert"
        )
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
    return pa.array(column.map(stored, na_action="ignore"), type=pa.string(), from_pandas=True)


def _flatten_index(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reset_index() if any(frame.index.names) else frame


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
