"""The rows of a day in the store, and how those made now join them."""

from collections.abc import Iterable, Mapping
from typing import Any

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.columns import Table, is_missing

Row = Mapping[str, Any]


def join_rows(
    stored: Iterable[Row], made: Iterable[Row], table: Table
) -> tuple[list[Row], list[Row]]:
    """Return the stored rows of a day that stay, and the rows made now that are taken.

    A row is never lost, whoever the pool still has, and one made in time is never replaced by
    a late one.
    """
    new = {table.key_of(row): row for row in made}
    kept = []
    for row in stored:
        other = new.get(table.key_of(row))
        if other is None or (is_in_time(row) and not is_in_time(other)):
            kept.append(row)
            new.pop(table.key_of(row), None)
    return kept, list(new.values())


def stored_rows(store: FrameStore, table: Table, key: str) -> list[Row]:
    """Return the stored rows of a partition, none if there is no such."""
    stored = store.find(table.store_name, key)
    rows = [] if stored is None else stored.to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def is_in_time(row: Row) -> bool:
    """Whether a forecast was made in time; one of 1.0.0 has no such column, and counts."""
    late = row.get("late")
    return is_missing(late) or not late
