"""What is published: every table as it is stored, and what is damaged as it last was published."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import query
from crypto_pool.domain.columns import Table
from crypto_pool.domain.recipe import Terms
from crypto_pool.domain.tables import CHAMPIONS, TABLES
from crypto_pool.errors import QueryError


@dataclass
class Readings:
    """The rows of each table, and by partition why one of its files could not be read."""

    frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def read_tables(store: FrameStore, data_dir: Path, prefixes: Mapping[str, str]) -> Readings:
    """Read all tables; of a damaged file the rows of the last publication stay.

    `prefixes` narrow a table to the files whose keys begin so.
    """
    readings = Readings()
    for name, table in TABLES.items():
        key_column = "symbol" if table.partitioned_by == ("symbol",) else None
        frame, damaged = store.read_sound(table.store_name, key_column, prefixes.get(name, ""))
        if any(frame.index.names):
            frame = frame.reset_index()
        for key, fault in damaged.items():
            readings.faults[key] = f"{type(fault).__name__}: {fault}"
        if damaged:
            frame = _with_published(frame, table, list(damaged), data_dir)
        readings.frames[name] = frame
    return readings


def tell_faults(champions: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Add to champions how the terms each was made on differ from the pool's, in words."""

    def fault(row: pd.Series) -> str | None:
        given = CHAMPIONS.row({str(name): value for name, value in row.items()})
        made_on = {name: str(value) for name, value in given.items() if value is not None}
        changed = terms.difference(made_on)
        return f"its terms are not the pool's: {changed}" if changed else None

    return champions if champions.empty else champions.assign(fault=champions.apply(fault, axis=1))


def _with_published(
    frame: pd.DataFrame, table: Table, damaged: list[str], data_dir: Path
) -> pd.DataFrame:
    """Add what the last publication has of damaged files; nothing if none can be read."""
    try:
        published = query(data_dir, f"SELECT * FROM {table.name}")
    except QueryError:
        return frame
    width = len(table.partitioned_by)
    wanted = {tuple(key.split("|")[:width]) for key in damaged}
    known = {_texts(row, table.key) for row in frame.to_dict("records")}
    lost = [
        _texts(row, table.partitioned_by) in wanted and _texts(row, table.key) not in known
        for row in published.to_dict("records")
    ]
    rows = published[lost].dropna(axis="columns", how="all")
    if rows.empty or frame.empty:
        return rows if frame.empty else frame
    return pd.DataFrame([*frame.to_dict("records"), *rows.to_dict("records")])


def _texts(row: Mapping[object, object], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(row[name]).removesuffix(" 00:00:00") for name in names)
