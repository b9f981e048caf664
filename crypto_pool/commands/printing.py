"""How commands show results on the terminal, and where their messages go."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from io import UnsupportedOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from crypto_pool.adapters.terminal import Terminal, escape_unseen
from crypto_pool.errors import QueryError

if TYPE_CHECKING:
    import pyarrow as pa

console = Terminal()
documents = Terminal()
_beside = Terminal(stderr=True)
_BETWEEN, _AROUND = 2, 1  # what the box and the padding take of a column, and of a table
_LEAST_TEXT, _MOST_LINES = 16, 6


def messages(as_json: bool) -> Terminal:
    """Return where a command speaks: on stderr if its result is a document on stdout."""
    return _beside if as_json else console


def keep_stdout(context: typer.Context, is_asked: bool) -> bool:
    """Keep stdout for the document that an option asks for; all else, of any code, goes to stderr.

    That of processes that are begun meanwhile, too.
    """
    if is_asked and documents.file is sys.stdout:
        context.with_resource(_stdout_of_documents())
    return is_asked


@contextmanager
def _stdout_of_documents() -> Iterator[None]:
    with ExitStack() as undone:
        out = sys.stdout
        with suppress(UnsupportedOperation):  # of a test, that has no such file
            if out.fileno() == 1:
                kept = os.dup(1)
                out = undone.enter_context(
                    os.fdopen(kept, "w", encoding="utf-8", errors=out.errors)
                )
                os.dup2(2, 1)
                undone.callback(os.dup2, kept, 1)
        documents.file = out
        undone.callback(setattr, documents, "file", None)
        with redirect_stdout(sys.stderr):
            yield


def page_width() -> int | None:
    """Return the columns of the terminal, or of COLUMNS; None where nothing limits a line."""
    return console.width if console.is_terminal or os.environ.get("COLUMNS") else None


def page(width: int = 400) -> Terminal:
    """Return the console of tables: as wide as the terminal or, off one, as they need."""
    return console if page_width() is not None else Terminal(width=width)


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Print a table with every digit; columns that do not fit the terminal are named below it."""
    names = list(columns if columns is not None else rows[0] if rows else [])
    fitted = _fit([_Column.of(name, [row[name] for row in rows]) for name in names], page_width())
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for column in fitted:
        table.add_column(
            Text(column.header, style="bold"),
            justify="right" if column.is_number else "left",
            width=column.width,
            overflow="fold",
        )
    for number in range(len(rows)):
        table.add_row(*(column.cell(number) for column in fitted))
    if fitted:
        page(sum(one.width + _BETWEEN for one in fitted) + _AROUND).print(table)
    if not rows:
        console.print("(0 rows)")
    shown = {column.name for column in fitted}
    left_out = [name for name in names if name not in shown]
    if left_out:
        console.print(
            f"Left out to fit {console.width} columns: {', '.join(left_out)}. --json gives all.",
        )


def show(as_json: bool, document: object, *parts: str | Sequence[Mapping[str, Any]]) -> None:
    """Print a result as one JSON document or, part by part, as lines and tables for people."""
    if as_json:
        print_json(document)
        return
    for part in parts:
        if isinstance(part, str):
            console.print(part, soft_wrap=True)
        else:
            print_rows(part)


def write_json(document: object, file: Path | None) -> None:
    """Write a document into the file that an option named, if it did."""
    if file is not None:
        file.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", "utf-8")


def print_json(content: object) -> None:
    """Print one JSON document and nothing else; raises ValueError for what JSON cannot say."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    # soft_wrap: a document must not be broken at the width of a terminal.
    documents.print(text, soft_wrap=True)


def rows_of(table: "pa.Table") -> list[dict[str, Any]]:
    """Return the rows as Python has them; raises QueryError for what it knows no form of."""
    try:
        rows: list[dict[str, Any]] = table.to_pylist(maps_as_pydicts="strict")
    except (OverflowError, TypeError, ValueError, KeyError) as fault:
        raise QueryError(
            f"the answer holds a value that cannot be shown ({fault}): cast its column in the SQL, "
            "such as CAST(day AS VARCHAR)"
        ) from None
    return rows


def records(table: "pa.Table") -> list[dict[str, Any]]:
    """Return the rows as JSON knows them: undefined is null, times are ISO 8601."""
    names = [field.name for field in table.schema if (field.metadata or {}).get(b"is") == b"JSON"]
    rows = rows_of(table)
    for row in rows:
        row |= {name: json.loads(row[name]) for name in names if row[name] is not None}
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if value - value == 0 else None  # neither NaN nor infinite
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple):  # an interval
        return dict(zip(("months", "days", "nanoseconds"), value, strict=True))
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)  # a decimal, whose digits a float would lose, or a blob


@dataclass
class _Column:
    """A column as it is to be printed."""

    name: str
    texts: list[str]
    nulls: list[bool]
    is_number: bool
    header: str = ""
    width: int = 0

    @classmethod
    def of(cls, name: str, values: Sequence[object]) -> "_Column":
        known = [value for value in values if value is not None]
        numbers = bool(known) and all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in known
        )
        return cls(
            name, [escape_unseen(_shown(v)) for v in values], [v is None for v in values], numbers
        )

    def cell(self, number: int) -> Text:
        return Text(self.texts[number], style="dim" if self.nulls[number] else "")

    @property
    def longest(self) -> int:
        lines = (line for text in self.texts for line in text.split("\n"))
        return max((len(line) for line in lines), default=0)

    def shrink(self, room: int) -> bool:
        """Take the least width within `room`; false if the column cannot be read in it."""
        pieces = [len(piece) for piece in self.name.replace("_", "_ ").split(" ")]
        folded = max(min(self.longest, _LEAST_TEXT), -(-self.longest // _MOST_LINES))
        self.width = max(self.longest if self.is_number else folded, *pieces)
        return self.width <= room

    def settle(self) -> None:
        """Break the header at underscores where it is wider than the column."""
        lines = [""]
        for piece in self.name.replace("_", "_ ").split(" "):
            if len(lines[-1]) + len(piece) > self.width and lines[-1]:
                lines.append("")
            lines[-1] += piece
        self.header = "\n".join(lines)


def _fit(columns: Sequence[_Column], width: int | None) -> list[_Column]:
    """Return the columns that fit, the first ones first, and share out what is left."""
    chosen: list[_Column] = []
    room = width - _AROUND if width is not None else None
    for column in columns:
        wanted = max(column.longest, len(column.name))
        if room is None:
            column.width = wanted
        elif not column.shrink(room - _BETWEEN):
            continue
        else:
            room -= column.width + _BETWEEN
        chosen.append(column)
    # First what is cut, then headers.
    wishes = [*((one, one.longest) for one in chosen), *((one, len(one.name)) for one in chosen)]
    for column, wanted in wishes:
        more = min(room or 0, max(wanted - column.width, 0))
        column.width, room = column.width + more, (room or 0) - more
    for column in chosen:
        column.settle()
    return chosen


def _shown(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "NaN" if value != value else repr(value)
    if isinstance(value, datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(value, dict | list | tuple):
        return json.dumps(_plain(value), ensure_ascii=False)
    return str(value)
