"""What is published: every table as it is stored, and what is damaged as it last was published.

A publication takes from the one before what has not changed, by the marks of the stored files.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from crypto_pool.adapters.derived import digest
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import (
    Sources,
    note_sources,
    noted_sources,
    publish,
    publishing,
    set_folders_aside,
)
from crypto_pool.adapters.publication_rows import Change, create_statements
from crypto_pool.domain.columns import Table
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.tables import CHAMPIONS, PANEL_FORECASTS, TABLES
from crypto_pool.errors import QueryError
from crypto_pool.workflow.panel import panel_terms

FILES_AT_ONCE = 250


def publish_pool(store: FrameStore, data_dir: Path, recipe: Recipe) -> tuple[Path, dict[str, str]]:
    """Publish what is stored; give the file, and by name what is damaged, and why.

    Where the last publication cannot be gone on from, all is read anew.
    """
    with publishing(data_dir):
        aside, noted = set_folders_aside(data_dir), noted_sources(data_dir)
        try:
            path, faults = _publish(store, data_dir, recipe, noted)
        except QueryError:
            if not noted:
                raise
            path, faults = _publish(store, data_dir, recipe, {})
    return path, aside | faults


def _publish(
    store: FrameStore, data_dir: Path, recipe: Recipe, noted: Sources
) -> tuple[Path, dict[str, str]]:
    made = {name: _Update(store, table, recipe, noted) for name, table in TABLES.items()}
    path = publish(data_dir, {name: one.change for name, one in made.items()})
    note_sources(data_dir, {name: one.published for name, one in made.items()})
    faults: dict[str, str] = {}
    for key, why in (pair for one in made.values() for pair in one.faults.items()):
        faults[key] = f"{faults[key]}; {why}" if key in faults else why
    return path, faults


class _Update:
    """How a table differs from its last publication; its files are read as they are written."""

    def __init__(self, store: FrameStore, table: Table, recipe: Recipe, noted: Sources) -> None:
        self.store, self.table, self.terms = store, table, recipe.terms(())
        self.prefix = f"{panel_terms(recipe.target)}|" if table is PANEL_FORECASTS else ""
        self.before = noted.get(table.name, {})
        shown = digest(create_statements(table), self.terms if table is CHAMPIONS else "")
        self.marks = {
            key: f"{mark} {shown}"
            for key, mark in store.marks(table.store_name, self.prefix).items()
        }
        self.faults: dict[str, str] = {}
        keys = self.marks.keys() | self.before.keys()
        changed = {key for key in keys if self.marks.get(key) != self.before.get(key)}
        groups = frozenset(map(self._group, changed))
        # Where most has changed, a table is written anew: that is faster, and leaves no gaps.
        is_whole = not self.before or 2 * len(groups) > len(set(map(self._group, keys)))
        self.change = Change(self._frames(groups, is_whole), None if is_whole else groups)

    @property
    def published(self) -> dict[str, str]:
        """The marks of the files whose rows are published; a damaged one's is as it was."""
        sound = {key: mark for key, mark in self.marks.items() if key not in self.faults}
        return sound | {key: self.before[key] for key in self.faults if key in self.before}

    def _group(self, key: str) -> tuple[str, ...]:
        """Return the values its rows share, blank where a stranger's file has none."""
        parts, count = key.split("|")[bool(self.prefix) :], len(self.table.partitioned_by)
        return tuple([*parts, *[""] * count][:count])

    def _frames(self, groups: frozenset[tuple[str, ...]], is_whole: bool) -> Iterator[pd.DataFrame]:
        keys = [key for key in sorted(self.marks) if is_whole or self._group(key) in groups]
        for start in range(0, len(keys), FILES_AT_ONCE):
            yield self._read(keys[start : start + FILES_AT_ONCE])

    def _read(self, keys: Sequence[str]) -> pd.DataFrame:
        by_coin = self.table.partitioned_by == ("symbol",)
        frame, damaged = self.store.read_sound(
            self.table.store_name, "symbol" if by_coin else None, keys=keys
        )
        self.faults |= {key: f"{type(why).__name__}: {why}" for key, why in damaged.items()}
        self.change.damaged.update(map(self._group, damaged))
        if self.table is CHAMPIONS and not frame.empty:
            faults = map(self._fault, frame.to_dict("records"))
            return frame.assign(fault=pd.Series(list(faults), dtype=object))
        return frame

    def _fault(self, row: Mapping[object, object]) -> str | None:
        """Say how the terms a champion was made on differ from the pool's."""
        given = CHAMPIONS.row({str(name): value for name, value in row.items()})
        made_on = {name: str(value) for name, value in given.items() if value is not None}
        return self.terms.fault(made_on) or None
