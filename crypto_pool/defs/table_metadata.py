"""Tables as the Dagster UI shows them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from crypto_pool.domain.columns import Column, Table, is_missing


def column_schema(columns: Iterable[Column]) -> dg.TableSchema:
    """Return columns with type and meaning."""
    return dg.TableSchema(
        [dg.TableColumn(one.name, one.kind.sql, description=one.comment) for one in columns]
    )


def shown_table(
    table: Table,
    rows: Iterable[Mapping[Any, Any]],
    first: Sequence[str] = (),
    without: Iterable[str] = (),
) -> dg.TableMetadataValue:
    """Return rows as the UI shows a table, some columns first; what is undefined says so."""
    of = {column.name: column for column in table.columns if column.name not in without}
    columns = [of[name] for name in (*first, *(name for name in of if name not in first))]
    records = [
        dg.TableRecord({column.name: _shown(row[column.name]) for column in columns})
        for row in map(table.row, rows)
    ]
    return dg.MetadataValue.table(records, schema=column_schema(columns))


def forecast_list(rows: Iterable[Mapping[Any, Any]], page_url: str) -> dg.MarkdownMetadataValue:
    """Return a day's forecasts as a table in which each member links to its page."""
    lines = [
        "| member | probability | reference | signal | status | by |",
        "|---|--:|--:|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: (row["symbol"], row["trend"] != "uptrend")):
        name = f"{row['symbol']}_{row['trend']}"
        figures = [
            "" if is_missing(row[key]) else f"{row[key]:.3f}"
            for key in ("probability", "reference_probability")
        ]
        signal = "" if is_missing(row["signal"]) or not row["signal"] else "signal"
        version = "" if is_missing(row["model_version"]) else f" v{row['model_version']}"
        cells = (*figures, signal, row["status"], f"{row['algorithm']}{version}")
        lines.append(f"| [{name}]({page_url}/members/{name}.html) | {' | '.join(cells)} |")
    return dg.MetadataValue.md("\n".join(lines))


def _shown(value: Any) -> str | int | float | bool:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 4)
    return "undefined" if pd.isna(value) else str(value)
