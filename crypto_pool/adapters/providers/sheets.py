"""Files to cells: what a file holds, looked at before anything is made of it.

The boundary of pyarrow and csv: none of their errors leaves this module. A place is a line as an
editor numbers it, or a row of Parquet.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from crypto_pool.adapters.providers.contents import decode, unpack
from crypto_pool.adapters.providers.layouts import (
    FORM,
    HEADERLESS,
    Layout,
    bar_field,
    find_layout,
    normalised,
)
from crypto_pool.domain.bar_days import moment_ns
from crypto_pool.domain.bar_validation import BAR_COLUMNS
from crypto_pool.errors import InvalidBars

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_LOOKED_AT = 12
"""First lines among which the header stands, after lines of origin."""
_FEWEST_NAMES = 3
_MOST_ROWS = 100_000
"""Three times the days of 2009 to 2099; a million rows of minutes would take a gigabyte."""
_NOTHING = re.compile(r'[\s",;|]*')
_Lines = list[tuple[int, list[str]]]
_UNREADABLE = (OSError, ValueError, TypeError, LookupError, ArithmeticError)


@dataclass(frozen=True)
class Sheet:
    """The cells of a file below its header, row by row, as they stand there."""

    path: Path
    kind: str
    names: tuple[str, ...]
    layout: Layout
    rows: Sequence[Sequence[object]]
    places: Sequence[str]

    def column(self, position: int) -> list[object]:
        """Return the cells of a column."""
        return [row[position] for row in self.rows]

    def place(self, row: int, position: int) -> str:
        """Name a cell."""
        name = self.names[position] if self.names else str(position + 1)
        return f"{self.path}, {self.places[row]}, column {name}"


def read_sheet(path: Path, symbol: str) -> Sheet:
    """Return the cells of a file of bars, text or Parquet; raises InvalidBars."""
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise InvalidBars(f"{path} cannot be read: {fault}; check the file") from None
    content, packed = unpack(path, content)
    if content.startswith(b"PAR1") or ".parquet" in path.name.lower():
        return _parquet(path, content, symbol)
    text, encoding = decode(path, content)
    return _text(path, text, f"{packed}{encoding}", symbol)


def _text(path: Path, text: str, kind: str, symbol: str) -> Sheet:
    """Cells of text, by the separator under which a header or a known shape is found."""
    if _NOTHING.fullmatch(text):
        raise InvalidBars(f"{path} is empty; it holds no rows, and needs {FORM}")
    best = (_FEWEST_NAMES - 1, "", 0)
    for separator in _SEPARATORS:
        for at, (_, cells) in enumerate(_first_lines(text, separator)):
            named = len({f for cell in cells if (f := bar_field(cell, symbol))})
            if named > best[0]:
                best = (named, separator, at)
    _, separator, at = best
    if not separator:
        return _without_header(path, text, kind)
    lines = list(_lines(text, separator, str(path)))
    for line, cells in lines[:at]:
        if sum(_is_number(cell) for cell in cells) >= len(BAR_COLUMNS):
            raise InvalidBars(f"{path}, line {line}: numbers before the header; put it first")
    names, below = _header(lines, at)
    while names and not names[-1]:  # of a trailing separator
        names = names[:-1]
    layout = find_layout(names, symbol, str(path))
    if below > at + 1:
        layout = replace(layout, name="yfinance")
    rows = [(line, cells) for line, cells in lines[below:] if cells != lines[at][1]]
    return _sheet(path, f"{kind}, {_SEPARATORS[separator]}", names, layout, rows)


def _header(lines: _Lines, at: int) -> tuple[tuple[str, ...], int]:
    """Return the names, and where the rows begin: yfinance writes three lines of header."""
    names = [cell.strip() for cell in lines[at][1]]
    below = at + 1
    tickers = lines[at - 1][1] if at and _begins(lines[at - 1][1], "ticker") else None
    while below < len(lines):
        cells = lines[below][1]
        if _begins(cells, "ticker"):
            tickers = cells
        elif bar_field(cells[0], "") == "stamp" and not any(cell.strip() for cell in cells[1:]):
            names[0] = cells[0].strip()
        else:
            break
        below += 1
    if tickers is not None and "" not in {cell.strip() for cell in tickers[1 : len(names)]}:
        names[1:] = [f"{n} {t}".strip() for n, t in zip(names[1:], tickers[1:], strict=False)]
    return tuple(names), below


def _begins(cells: Sequence[str], name: str) -> bool:
    return len(cells) >= len(BAR_COLUMNS) and normalised(cells[0]) == name


def _without_header(path: Path, text: str, kind: str) -> Sheet:
    """Cells of a file whose first line is a row, where high and low bound open and close."""
    for separator in _SEPARATORS:
        first = [cell.strip() for cell in next(_lines(text, separator), (0, []))[1]]
        while first and not first[-1]:
            first.pop()
        layout = HEADERLESS.get(len(first))
        if layout is None or not _can(moment_ns, first[0]) or not all(map(_is_number, first[1:6])):
            continue
        lines = list(_lines(text, separator, str(path)))
        sheet = _sheet(path, f"{kind}, {_SEPARATORS[separator]}", (), layout, lines, len(first))
        _require_bounds(sheet)
        return sheet
    line, cells = (_first_lines(text, ",") or list(_lines(text, ",", str(path))))[0]
    raise InvalidBars(
        f"{path}, line {line}: {','.join(cells)[:80]!r} names no columns that are known, and is "
        f"no row of a known layout without a header; needed is a header like {FORM}"
    )


def _require_bounds(sheet: Sheet) -> None:
    """Raise InvalidBars where the values show that the columns are others than the layout's."""
    is_price = []
    for row, cells in enumerate(sheet.rows):
        figures = [str(cell).strip() for cell in cells[1:6]]
        if not all(map(_is_number, figures)):
            continue  # named when the numbers are read
        opened, high, low, close, sixth = map(float, figures)
        if high < max(opened, close, low) or low > min(opened, close):
            raise InvalidBars(
                f"{sheet.path}, {sheet.places[row]}: without a header the columns are taken as "
                f"{FORM}, and here high and low do not bound open and close; give it that header"
            )
        if sixth:
            is_price.append(low <= sixth <= high)
    meant = "the volume" if sheet.layout.columns["volume"] == 5 else "the average price"
    if len(is_price) > 1 and all(is_price) == (meant == "the volume"):
        lies = "lies between low and high, as a price" if all(is_price) else "is not always a price"
        raise InvalidBars(
            f"{sheet.path}: without a header column 6 is taken as {meant}, and here it {lies}; "
            f"give it a header like {FORM}"
        )


def _sheet(
    path: Path, kind: str, names: tuple[str, ...], layout: Layout, lines: _Lines, width: int = 0
) -> Sheet:
    """Rows of one width: blank lines and trailing separators are none, other lengths a fault."""
    width = width or len(names)
    rows, places = [], []
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) < width or any(cell.strip() for cell in cells[width:]):
            raise InvalidBars(
                f"{path}, line {line}: {len(cells)} fields where {width} are expected; "
                "complete the line, or take it away"
            )
        rows.append(cells[:width])
        places.append(f"line {line}")
    if not rows:
        raise InvalidBars(f"{path} holds no rows; it needs one row for each daily bar")
    return Sheet(path, kind, names, layout, rows, places)


def _first_lines(text: str, separator: str) -> _Lines:
    """Return the first lines as a separator that may be the wrong one parts them."""
    return list(islice(_lines(text, separator), _LOOKED_AT))


def _lines(text: str, separator: str, strict_for: str = "") -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not blank, each with the number of its first line."""
    strict, begun = bool(strict_for), 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict)
    try:
        for row, cells in enumerate(reader):
            if strict and row > _MOST_ROWS:
                raise _too_many(strict_for)
            if any(cell.strip() for cell in cells):
                yield begun, cells
            begun = reader.line_num + 1
    except csv.Error as fault:
        if strict:
            raise InvalidBars(
                f"{strict_for}, line {begun}: cannot be read as CSV: {fault}; look for a quote "
                "that is never closed"
            ) from None


def _too_many(path: str) -> InvalidBars:
    return InvalidBars(
        f"{path} holds more than {_MOST_ROWS} rows, more than there are days: these are intraday "
        "bars, or bars of many coins; give one bar for each UTC day, one file a coin"
    )


def _is_number(cell: str) -> bool:
    return _can(float, cell) and "_" not in cell


def _can(read: Callable[[str], object], cell: str) -> bool:
    try:
        read(cell)
    except (ValueError, ArithmeticError):
        return False
    return True


def _parquet(path: Path, content: bytes, symbol: str) -> Sheet:
    """Cells of Parquet; pandas' index is a column there, whatever it was called."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        if file.metadata.num_rows > _MOST_ROWS:
            raise _too_many(str(path))
        table = file.read(use_threads=False)
        names = tuple(str(name) for name in table.column_names)
        layout = find_layout(names, symbol, str(path))
        columns = [column.to_pylist() for column in table.columns]
    except (pa.ArrowException, *_UNREADABLE) as fault:
        raise InvalidBars(
            f"{path} cannot be read as PARQUET: {fault!r}; write it again with the columns {FORM}"
        ) from None
    if not table.num_rows:
        raise InvalidBars(f"{path} holds no rows; it needs one row for each daily bar")
    places = [f"row {row + 1}" for row in range(table.num_rows)]
    return Sheet(path, "Parquet", names, layout, list(zip(*columns, strict=True)), places)
