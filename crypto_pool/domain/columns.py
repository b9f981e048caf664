"""What a table is: columns with type and meaning, a key, and how a value is stored in each."""

import json
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crypto_pool.domain.moments import naive_utc
from crypto_pool.errors import InvalidRows

if TYPE_CHECKING:
    import pandera.pandas as pandera


@dataclass(frozen=True)
class Column:
    """A column; `low` and `high` bound its values, both included."""

    name: str
    kind: "Kind"
    comment: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Kind:
    """A type of column: its name in SQL and how a value is stored; calling it makes a column."""

    sql: str
    stored: Callable[[Any], Any]

    def __call__(self, name: str, comment: str, *bounds: float) -> Column:
        """Return a column of this type."""
        return Column(name, self, comment, *bounds)


def _day(value: Any) -> date:
    return pd.Timestamp(value).date()


def _moment(value: Any) -> pd.Timestamp:
    moment = pd.Timestamp(value)
    return naive_utc(moment.tz_localize("UTC") if moment.tzinfo is None else moment)


def _of_text(value: Any, kind: Callable[[Any], Any]) -> Any:
    """Return a value or its JSON text as a plain number or truth value; null is None."""
    given = json.loads(value) if isinstance(value, str) else value
    return None if given is None else kind(given)


def _text_of_json(value: Any) -> str:
    """Return strict JSON, in which a number that is none is null."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return json.dumps(json.loads(text, parse_constant=lambda _: None))


def is_missing(value: Any) -> bool:
    """Whether a value is None or NaN."""
    return not isinstance(value, Mapping | list | tuple) and bool(pd.isna(value))


DATE = Kind("DATE", _day)
TIMESTAMP = Kind("TIMESTAMP", _moment)
DOUBLE = Kind("DOUBLE", lambda value: _of_text(value, float))
INTEGER = Kind("INTEGER", lambda value: _of_text(value, int))
BOOLEAN = Kind("BOOLEAN", lambda value: _of_text(value, bool))
VARCHAR = Kind("VARCHAR", str)
VERSION = Kind("INTEGER", str)
"""A version's number, stored as the text the model registry gives."""
JSON = Kind("JSON", _text_of_json)
MAP = Kind("MAP(VARCHAR, DOUBLE)", _text_of_json)


@dataclass(frozen=True)
class Table:
    """A table; `stored_as` is its name in the store of Parquet files, where that is another.

    `partitioned_by` are the columns whose values, joined by `|`, name a file of it, or begin
    its name. `remedy` is what makes a file of it anew once the damaged one has been deleted.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partitioned_by: tuple[str, ...]
    stored_as: str = ""
    remedy: str = "run `crypto-pool build`"

    @property
    def store_name(self) -> str:
        """Its name in the store of Parquet files."""
        return self.stored_as or self.name

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns, in order."""
        return tuple(column.name for column in self.columns)

    def row(self, *sources: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row of all columns, as it is stored, from the first source that has each.

        Text becomes the column's type; what no source has is None, and other entries are
        left out.
        """
        known: ChainMap[str, Any] = ChainMap(*map(dict, sources))
        return {
            column.name: None if is_missing(value) else column.kind.stored(value)
            for column in self.columns
            for value in [known.get(column.name)]
        }

    def key_of(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the key of a row, as text."""
        return tuple(str(row[name]) for name in self.key)

    def frame(self, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
        """Return rows as they are stored, all columns there, or raise InvalidRows."""
        import pandera.errors

        frame = self.unchecked_frame(rows)
        try:
            return self.schema.validate(frame, lazy=True)
        except pandera.errors.SchemaErrors as found:
            case = found.failure_cases.iloc[0]
            raise InvalidRows(
                f"rows of {self.name} cannot be stored: {case['column']} fails {case['check']} "
                f"with {case['failure_case']}, first in {self._key_of(frame, case['index'])}"
            ) from None

    def unchecked_frame(self, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
        """Return rows as they are stored, their bounds and keys not looked at."""
        stored = [self.row(row) for row in rows]
        columns: dict[str, Any] = {}
        for one in self.columns:
            values = columns[one.name] = [row[one.name] for row in stored]
            if one.kind is DOUBLE or not values:
                columns[one.name] = np.array(values, float if one.kind is DOUBLE else object)
        return pd.DataFrame(columns)

    def _key_of(self, frame: pd.DataFrame, place: Any) -> str:
        values = () if pd.isna(place) else frame.loc[int(place), list(self.key)]
        return " ".join(map(str, values))

    @cached_property
    def schema(self) -> "pandera.DataFrameSchema":
        """Return the schema of stored rows: columns, numbers, bounds and the key."""
        import pandera.pandas as pandera

        def bounds(column: Column) -> list[Any]:
            low = [] if column.low is None else [pandera.Check.ge(column.low)]
            return low if column.high is None else [*low, pandera.Check.le(column.high)]

        columns = {
            one.name: pandera.Column(checks=bounds(one), nullable=one.name not in self.key)
            for one in self.columns
        }
        return pandera.DataFrameSchema(columns, strict=True, unique=list(self.key))


@dataclass(frozen=True)
class View:
    """A query with a name, published beside the tables."""

    name: str
    comment: str
    sql: str
