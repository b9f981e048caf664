"""What follows from stored files alone, kept with the marks of those: it may be thrown away."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pandas as pd

from crypto_pool.adapters.frame_store import DERIVED, FrameStore
from crypto_pool.errors import CorruptPartition, MissingPartition

COLUMNS = ["key", "mark", "value"]


def digest(*parts: object) -> str:
    """Return what tells some values from others."""
    return sha256(repr(parts).encode()).hexdigest()


class Derived:
    """Values of JSON by name; each holds as long as what it was made of has its mark."""

    def __init__(self, store: FrameStore, name: str) -> None:
        """Read what is kept under a name; what cannot be read was never kept."""
        self.store, self.name = store, name
        self._kept: dict[str, tuple[str, str]] = {}
        try:
            rows = store.read(DERIVED, name)
        except (MissingPartition, CorruptPartition):
            return
        if list(rows) == COLUMNS:
            self._kept = {key: (mark, value) for key, mark, value in rows.to_numpy()}

    def current(self, marks: Mapping[str, str]) -> dict[str, Any]:
        """Return the values whose marks are still these."""
        return {
            key: json.loads(self._kept[key][1])
            for key, mark in marks.items()
            if key in self._kept and self._kept[key][0] == mark
        }

    def keep(self, marks: Mapping[str, str], values: Mapping[str, Any]) -> None:
        """Keep values with their marks, beside those there are of the same names."""
        made = {key: (marks[key], json.dumps(value)) for key, value in values.items()}
        if any(self._kept.get(key) != one for key, one in made.items()):
            self._kept |= made
            rows = [(key, *one) for key, one in self._kept.items()]
            self.store.write(DERIVED, self.name, pd.DataFrame(rows, columns=COLUMNS))
