"""The steps that bring the data folder of an older crypto_pool up to date.

Each is given the data folder and the root of the Parquet files, which may lie elsewhere.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from itertools import groupby
from pathlib import Path

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain import tables
from crypto_pool.domain.columns import Table
from crypto_pool.domain.moments import deadline_of, naive_utc
from crypto_pool.errors import CorruptPartition

Migrations = Mapping[int, Callable[[Path, str], None]]


GATHERED = (tables.PROMOTIONS, tables.CANDIDATE_SCORES)
RENAMED = {"separate_windows": "effective_sample_size", "chance": "p_value"}


def rename_and_mark_late(data_dir: Path, frames_root: str) -> None:
    """Give forecasts and outcomes the column `late`, once a status, and performance its names."""
    store = FrameStore(frames_root)
    for day in store.keys(tables.REALISED_PERFORMANCE.store_name):
        with suppress(CorruptPartition):  # it is named wherever it is read
            rows = store.read(tables.REALISED_PERFORMANCE.store_name, day)
            if set(RENAMED) & set(rows):
                store.write(
                    tables.REALISED_PERFORMANCE.store_name, day, rows.rename(columns=RENAMED)
                )
    for forecasts, outcomes in (
        (tables.PREDICTIONS, tables.OUTCOMES),
        (tables.SHADOW_PREDICTIONS, tables.SHADOW_OUTCOMES),
    ):
        for day in store.keys(forecasts.store_name):
            with suppress(CorruptPartition):
                _mark_late(store, day, forecasts, outcomes)


def is_unmigrated(store: FrameStore) -> bool:
    """Whether the oldest forecasts are as 1.0.0 wrote them, whatever version is said of them."""
    name = tables.PREDICTIONS.store_name
    days = (store.read_sound(name, keys=[key])[0] for key in store.keys(name))
    return _are_unmarked(next((rows for rows in days if len(rows)), pd.DataFrame()))


def _are_unmarked(forecasts: pd.DataFrame) -> bool:
    return "late" not in forecasts and {"status", "predicted_at_utc"} <= set(forecasts)


def _mark_late(store: FrameStore, day: str, forecast_table: Table, outcome_table: Table) -> None:
    forecasts = store.read(forecast_table.store_name, day)
    if not _are_unmarked(forecasts):
        return
    made = pd.to_datetime(forecasts["predicted_at_utc"])
    late = (made > naive_utc(deadline_of(date.fromisoformat(day)))) | (
        forecasts["status"] == "late"
    )
    forecasts = forecasts.assign(late=late, status=forecasts["status"].replace("late", "active"))
    if store.exists(outcome_table.store_name, day):
        with suppress(CorruptPartition):  # no reason to leave the forecasts as they are
            outcomes = store.read(outcome_table.store_name, day)
            if not outcomes.empty and "late" not in outcomes:
                columns = forecasts[[*outcome_table.key, "late", "status"]]
                joined = outcomes.drop(columns="status", errors="ignore").merge(
                    columns, "left", outcome_table.key
                )
                store.write(outcome_table.store_name, day, joined)
    store.write(forecast_table.store_name, day, forecasts)


def gather_rows(data_dir: Path, frames_root: str) -> None:
    """Put decisions and scores, which had a file each, into one file a member.

    A file goes once its rows are in the other; one that is damaged stays, and is named.
    """
    store = FrameStore(frames_root)
    for table in GATHERED:
        name = table.store_name
        for member, group in groupby(
            _single_files(store, table), lambda key: key.rpartition("|")[0]
        ):
            keys = list(group)
            with store.lock(name, member):
                rows, damaged = store.read_sound(name, keys=keys)
                if len(rows):
                    store.put_rows(name, member, rows, table.key)
            for key in sorted(set(keys) - damaged.keys()):
                store.remove(name, key)


def has_single_rows(store: FrameStore) -> bool:
    """Whether a decision or score has a file of its own."""
    return any(_single_files(store, table) for table in GATHERED)


def _single_files(store: FrameStore, table: Table) -> list[str]:
    return [key for key in store.keys(table.store_name) if key.count("|") > 1]


# From a version to the next; 1.0.0 wrote the second.
MIGRATIONS: Migrations = {2: rename_and_mark_late, 3: gather_rows}
