"""Whether what a file of the store holds are rows of its table: a hand may have been there."""

from functools import lru_cache

import pyarrow as pa
from pyarrow import types

from crypto_pool.domain.columns import (
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    TIMESTAMP,
    VERSION,
    Kind,
    Table,
)
from crypto_pool.domain.tables import DAILY_BARS, FEATURE_TABLES, TABLES

_BY_STORE_NAME = {table.store_name: table for table in TABLES.values()}


def why_unfit(stored_as: str, rows: pa.Table) -> str:
    """Say why these are no rows of that table; empty if they are, or if none is known.

    A column that is no part of the key may be missing: an earlier release had no such one.
    """
    table = _BY_STORE_NAME.get(stored_as)
    if table is None or not rows.num_rows:
        return ""
    if why := _why_other_columns(table, rows.schema):
        return why
    names = [name for name in table.key if name in rows.column_names]
    if not names:  # they stand in the name of the file alone
        return ""
    first, *more = (rows.column(name) for name in names)
    if more:  # of few rows that is ten times as fast as Arrow's groups
        first = pa.array(map(repr, zip(*(c.to_pylist() for c in (first, *more)), strict=True)))
    return f"it has a {' '.join(names)} twice" if len(first.unique()) < len(rows) else ""


@lru_cache
def _why_other_columns(table: Table, schema: pa.Schema) -> str:
    needed = table.names if table is DAILY_BARS else table.key
    if missing := [one for one in needed if one not in (*schema.names, *table.partitioned_by)]:
        return f"it has no column {', '.join(missing)}"
    kinds = {column.name: column.kind for column in table.columns}
    for field in schema:
        kind = kinds.get(field.name, DOUBLE if table is FEATURE_TABLES else None)
        if kind is not None and not _has_form(field.type, kind):
            return f"its column {field.name} is of type {field.type}"
    return ""


def _has_form(form: pa.DataType, kind: Kind) -> bool:
    if types.is_null(form):
        return True
    if kind in (DATE, TIMESTAMP):
        return bool(types.is_temporal(form))
    if kind is BOOLEAN:
        return bool(types.is_boolean(form))
    if types.is_floating(form) or types.is_integer(form):
        return kind in (DOUBLE, INTEGER, VERSION)
    is_text = types.is_string(form) or types.is_large_string(form) or types.is_dictionary(form)
    return bool(is_text) and kind not in (DOUBLE, INTEGER)
