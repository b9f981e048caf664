"""Whether what a file of the store holds are rows of its table: a hand may have been there."""

import json
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import types

from crypto_pool.domain.bar_validation import (
    BAR_COLUMNS,
    NO_NUMBER,
    are_days,
    impossible_bars,
    name_dates,
)
from crypto_pool.domain.columns import (
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    JSON,
    MAP,
    TIMESTAMP,
    VERSION,
    Kind,
    Table,
)
from crypto_pool.domain.tables import DAILY_BARS, FEATURE_TABLES, PANEL_FORECASTS, TABLES

# What SQL's INTEGER takes, and how text is read where it is not text that is meant.
LOWEST, HIGHEST = -(2**31), 2**31 - 1
TEXTS: Mapping[Kind, Callable[[str], Any]] = {
    VERSION: int,
    JSON: json.loads,
    MAP: lambda text: {name: float(value or 0) for name, value in json.loads(text).items()},
}
# By which a file says whose it is, wherever it lies; of earlier releases there is none.
PARTITION = b"crypto_pool.partition"
_BY_STORE_NAME = {table.store_name: table for table in TABLES.values()}


def marked(rows: pa.Table, stored_as: str, key: str) -> pa.Table:
    """Return the rows with the partition to which they belong."""
    partition = {PARTITION: f"{stored_as}/{key}"}
    return rows.replace_schema_metadata({**(rows.schema.metadata or {}), **partition})


def why_unfit(stored_as: str, key: str, rows: pa.Table) -> str:
    """Say why these are no rows of that partition; empty if they are, or if no such is known.

    A column that is no part of the key may be missing: an earlier release had no such one.
    """
    own = f"{stored_as}/{key}"
    partition = (rows.schema.metadata or {}).get(PARTITION, own.encode()).decode()
    if partition != own:
        return f"it is that of {partition}"
    table = _BY_STORE_NAME.get(stored_as)
    if table is None:
        return ""
    if not rows.num_rows:  # of a day there may be nothing to say
        return "it has no rows" if "symbol" in table.partitioned_by else ""
    return (
        _why_other_columns(table, rows.schema)
        or _why_elsewhere(table, key, rows)
        or _why_twice(table, rows)
        or _why_impossible(table, rows)
        or _why_unreadable(table, rows)
    )


def _why_elsewhere(table: Table, key: str, rows: pa.Table) -> str:
    """Say whose rows they are, where they are not all of the partition of that key."""
    parts = key.split("|")[table is PANEL_FORECASTS :]  # the panel's terms come first
    for name, part in zip(table.partitioned_by, parts, strict=False):
        values = rows.column(name).unique().to_pylist() if name in rows.column_names else [part]
        texts = {str(one)[:10] if isinstance(one, date) else str(one) for one in values}
        if texts != {part}:
            return f"it has rows of {name} {min(texts - {part})}"
    return ""


def _why_twice(table: Table, rows: pa.Table) -> str:
    names = [name for name in table.key if name in rows.column_names]
    if not names:  # they stand in the name of the file alone
        return ""
    distinct = rows.group_by(names, use_threads=False).aggregate([])  # of few rows threads cost
    return f"it has a {' '.join(names)} twice" if len(distinct) < len(rows) else ""


def _why_impossible(table: Table, rows: pa.Table) -> str:
    """Say which values cannot be: out of their bounds, or none in bars and features."""
    numbers = {
        name: rows.column(name).cast(pa.float64(), safe=False).to_numpy()
        for name, form in zip(rows.schema.names, rows.schema.types, strict=True)
        if types.is_floating(form) or types.is_integer(form) or types.is_null(form)
    }
    if table in (DAILY_BARS, FEATURE_TABLES):
        return _why_no_series(table, rows, numbers)
    for column in (one for one in table.columns if one.name in numbers):
        is_whole = column.kind in (INTEGER, VERSION)
        low = (LOWEST if is_whole else -np.inf) if column.low is None else column.low
        high = (HIGHEST if is_whole else np.inf) if column.high is None else column.high
        values = numbers[column.name]
        outside = values[(values < low) | (values > high)]
        if len(outside):
            return f"its column {column.name} holds {outside[0]:g}, out of {low:g} to {high:g}"
    return ""


def _why_unreadable(table: Table, rows: pa.Table) -> str:
    """Say which text is none of what its column holds, such as a version that is no number."""
    texts = [one for one in table.columns if one.kind in TEXTS and one.name in rows.column_names]
    for column in texts:
        for text in rows.column(column.name).unique().to_pylist():
            try:
                TEXTS[column.kind](text) if isinstance(text, str) else None
            except (ValueError, TypeError, AttributeError):
                return f"its column {column.name} holds {text[:40]!r}"
    return ""


def _why_no_series(table: Table, rows: pa.Table, numbers: Mapping[str, np.ndarray]) -> str:
    """Say what of a coin's days is missing, impossible or out of order."""
    dates, described = rows.column("date"), rows.schema.pandas_metadata or {}
    if described.get("index_columns") != ["date"] or getattr(dates.type, "tz", ""):
        return "its dates are no index of UTC days"
    days = dates.to_numpy()
    if not are_days(days):
        return "its dates are no days in order"
    if table is FEATURE_TABLES:
        missing = ~np.isfinite(np.array([*numbers.values()])).all(axis=0)
        kinds = iter([("non_finite", NO_NUMBER, missing)])
    else:
        kinds = impossible_bars(np.column_stack([numbers[name] for name in BAR_COLUMNS]))
    faults = ((why, pd.DatetimeIndex(days[bad])) for _, why, bad in kinds if bad.any())
    return "; ".join(f"on {name_dates(where)} {why}" for why, where in faults)


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
