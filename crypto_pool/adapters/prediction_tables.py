"""The DuckDB file people query: a read model, published anew as a whole.

`crypto_pool.duckdb` is a symbolic link to the latest publication and is swapped
atomically. An open reader keeps its file, a publication waits for no reader, and
since connections open the resolved path, a foreign `.wal` beside the link or
beside an older publication touches nothing.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from crypto_pool.adapters.prediction_schemas import SCHEMAS, TableSchema, feature_tables_schema
from crypto_pool.adapters.unfinished_files import name_unfinished, remove_abandoned
from crypto_pool.errors import NothingPublished, QueryError

if TYPE_CHECKING:
    import duckdb

LINK_NAME = "crypto_pool.duckdb"
_PUBLICATIONS = "crypto_pool-*.duckdb"
_MAP_TYPE = "MAP(VARCHAR, DOUBLE)"


def publish(data_dir: Path, frames: Mapping[str, pd.DataFrame], *, keep: int = 3) -> Path:
    """Write all tables into a new file, point the link at it and return the file.

    A table without a frame is created empty; a column missing in a frame is
    NULL. A named index counts as a column. The newest `keep` publications stay.
    Raises QueryError if a frame does not fit its table, for instance by a
    repeated key or a column the schema lacks; the link then still points at the
    last publication.
    """
    unknown = sorted(set(frames) - set(SCHEMAS))
    if unknown:
        raise QueryError(f"no table {', '.join(unknown)}; tables are {', '.join(SCHEMAS)}")
    data_dir.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S_%fZ")
    target = data_dir / f"crypto_pool-{stamp}.duckdb"
    remove_abandoned(data_dir)
    unfinished = name_unfinished(target)
    try:
        _write_tables(unfinished, frames)
        os.replace(unfinished, target)
    except BaseException:
        _remove_database(unfinished)
        raise
    _swap_link(data_dir / LINK_NAME, target)
    remove_old_publications(data_dir, keep)
    return target


def remove_old_publications(data_dir: Path, keep: int) -> int:
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
    import duckdb

    link = data_dir / LINK_NAME
    if not link.exists():
        raise NothingPublished(f"{link} does not exist; run `crypto-pool build` first")
    path = link.resolve()
    try:
        with duckdb.connect(
            str(path), read_only=True, config={"enable_external_access": False}
        ) as connection:
            return connection.execute(sql).df()
    except duckdb.Error as fault:
        raise QueryError(
            f"{LINK_NAME} refused the query: {fault}; the file is for reading only and has "
            f"the tables {', '.join(SCHEMAS)}; `DESCRIBE table` lists a table's columns"
        ) from fault


def _write_tables(path: Path, frames: Mapping[str, pd.DataFrame]) -> None:
    import duckdb

    with duckdb.connect(str(path)) as connection:
        for table, fixed in SCHEMAS.items():
            frame = _flatten_index(frames.get(table, pd.DataFrame()))
            schema = feature_tables_schema(frame.columns) if table == "feature_tables" else fixed
            unknown = [str(name) for name in frame.columns if name not in schema.columns]
            if unknown:
                raise QueryError(
                    f"table {table} has no column {', '.join(unknown)}; add it to its schema, "
                    "or leave it out of the rows"
                )
            connection.execute(_create_statement(table, schema))
            if not frame.empty:
                _insert(connection, table, schema, frame)
        connection.execute("CHECKPOINT")


def _create_statement(table: str, schema: TableSchema) -> str:
    parts = [f"{_quote(name)} {kind}" for name, kind in schema.columns.items()]
    if schema.primary_key:
        parts.append(f"PRIMARY KEY ({', '.join(map(_quote, schema.primary_key))})")
    return f"CREATE TABLE {_quote(table)} ({', '.join(parts)})"


def _insert(
    connection: "duckdb.DuckDBPyConnection", table: str, schema: TableSchema, frame: pd.DataFrame
) -> None:
    import duckdb

    given = [name for name in schema.columns if name in frame.columns]
    names = ", ".join(map(_quote, given))
    values = ", ".join(f"CAST({_quote(name)} AS {schema.columns[name]})" for name in given)
    try:
        rows = pa.table({name: _to_arrow(frame[name], schema.columns[name]) for name in given})
        connection.register("rows_to_insert", rows)
        connection.execute(
            f"INSERT INTO {_quote(table)} ({names}) SELECT {values} FROM rows_to_insert"
        )
        connection.unregister("rows_to_insert")
    except (duckdb.Error, pa.ArrowException, ValueError) as fault:
        raise QueryError(
            f"the {len(frame)} rows for table {table} do not fit it: {fault}; "
            "the last published file stays in place"
        ) from fault


def _to_arrow(column: pd.Series, kind: str) -> pa.Array:
    """Arrow values with NaN as null, times as naive UTC and mappings as MAP."""
    if kind == _MAP_TYPE:
        pairs = [_to_pairs(value) for value in column]
        return pa.array(pairs, type=pa.map_(pa.string(), pa.float64()))
    if kind == "TIMESTAMP":
        times = pd.to_datetime(column, utc=True, format="ISO8601")
        return pa.array(times.dt.tz_localize(None).dt.as_unit("us"), from_pandas=True)
    if kind == "DATE":
        days = pd.to_datetime(column, utc=True, format="ISO8601")
        return pa.array(days.dt.tz_localize(None).dt.as_unit("us"), from_pandas=True)
    if kind == "VARCHAR":
        texts = [_to_text(value) for value in column]
        return pa.array(texts, type=pa.string())
    return pa.array(column, from_pandas=True)


def _to_pairs(value: Any) -> list[tuple[str, float | None]] | None:
    """Pairs of a mapping or of its JSON text; a value that is no number is null."""
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, Mapping):
        return None
    return [
        (str(name), None if number is None or number != number else float(number))
        for name, number in value.items()
    ]


def _to_text(value: Any) -> str | None:
    if isinstance(value, (Mapping, list)):
        return json.dumps(value)
    return None if pd.isna(value) else str(value)


def _flatten_index(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reset_index() if any(frame.index.names) else frame


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _swap_link(link: Path, target: Path) -> None:
    """Point the link at its neighbour `target`; readers see the old or the new one."""
    beside = name_unfinished(link)
    beside.symlink_to(target.name)
    try:
        os.replace(beside, link)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _remove_database(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
