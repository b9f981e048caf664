"""Daily bars from a folder of files, one a coin: SYMBOL.csv or SYMBOL.parquet, packed or not."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from crypto_pool.adapters.providers.layouts import normalised
from crypto_pool.adapters.providers.sheets import Sheet, read_sheet
from crypto_pool.domain.bar_days import bar_days
from crypto_pool.domain.bar_validation import BAR_COLUMNS
from crypto_pool.domain.symbols import parse_symbol
from crypto_pool.errors import InvalidBars, InvalidSetting, UnknownSymbol

_FILE_NAME = re.compile(r"(.+?)\.(csv|tsv|txt|parquet)(\.gz|\.bz2|\.xz|\.zip)?", re.I)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.I)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.I)
_MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_NO_VALUE = {"", "nan", "null", "none", "na", "n/a", "#n/a", "-", "--"}
_TIME_ALONE = re.compile(r"\d{2}:?\d{2}(:?\d{2})?")
_NAME_COLUMNS = ("coin", "asset", "crypto", "base", "base asset", "base currency")
_COIN_COLUMNS = (
    *("symbol", "ticker", "pair", "currency pair", "symbol id", "product id", "inst id"),
    *("instrument", *_NAME_COLUMNS),
)
_LONGEST_TICKER = 5  # in these columns a longer word, as Bitcoin is, is the coin's name
_QUOTES = r"(F?D?USD[TCP]?|[BT]USD|EUR|GBP|JPY|KRW|TRY|BRL|AUD|BTC|ETH|BNB|PERP)"


@dataclass(frozen=True)
class DirectoryProvider:
    """Bars from the files of one folder, in any layout that is recognised."""

    folder: Path
    synthetic = False

    @property
    def source(self) -> str:
        """The folder, by its full path."""
        return f"directory:{Path(self.folder).resolve()}"

    def daily_bars(self, symbol: str, last_closed: date) -> pd.DataFrame:
        """Every row of the coin's file as it stands there; `last_closed` cuts nothing."""
        sheet = self._sheet(symbol)
        _require_coin(sheet, symbol)
        columns = {name: sheet.column(sheet.layout.columns[name]) for name in BAR_COLUMNS}
        comma = _has_decimal_comma(sheet, columns.values())
        numbers = {name: _numbers(sheet, name, comma) for name in BAR_COLUMNS}
        return pd.DataFrame(numbers, _days(sheet), dtype=float)

    def layout(self, symbol: str) -> str:
        """Return what was recognised in the coin's file."""
        sheet = self._sheet(symbol)
        return f"{sheet.path.name}: layout {sheet.layout.name} ({sheet.kind})"

    def symbols(self) -> tuple[str, ...]:
        """Return the coins that have a file, in order of their names."""
        return tuple(sorted(self._files()))

    def require_folder(self) -> None:
        """Raise InvalidSetting unless the folder is there."""
        if not Path(self.folder).is_dir():
            raise InvalidSetting(
                f"the market data folder {self.folder} does not exist; "
                "set CRYPTO_POOL_MARKET_DATA_DIR to a folder of SYMBOL.csv or SYMBOL.parquet files"
            )

    def _sheet(self, symbol: str) -> Sheet:
        files = self._files()
        paths = files.get(symbol, [])
        if not paths:
            available = ", ".join(sorted(files)) or "none"
            raise UnknownSymbol(
                f"{symbol}: no {symbol}.csv or {symbol}.parquet in {self.folder}; "
                f"symbols with a file there: {available}"
            )
        if len(paths) > 1:
            both = " and ".join(path.name for path in paths)
            raise InvalidBars(
                f"{symbol}: both {both} are in {self.folder}; remove or rename one of them"
            )
        if not paths[0].is_file():
            raise InvalidBars(
                f"{symbol}: {paths[0]} is a folder or a link to nothing; put a file there"
            )
        return read_sheet(paths[0], symbol)

    def _files(self) -> dict[str, list[Path]]:
        """Files by symbol; found by listing, so that a symbol is never taken as a path."""
        self.require_folder()
        files: dict[str, list[Path]] = {}
        try:
            paths = sorted(Path(self.folder).iterdir())
        except OSError as fault:
            raise InvalidSetting(
                f"the market data folder {self.folder} cannot be listed: {fault}; check its "
                "permissions, or CRYPTO_POOL_MARKET_DATA_DIR"
            ) from None
        for path in paths:
            named = _FILE_NAME.fullmatch(unicodedata.normalize("NFC", path.name))
            if named and not path.name.startswith("."):
                files.setdefault(_coin(named[1]), []).append(path)
        return files


def _coin(name: str) -> str:
    try:
        return parse_symbol(name)
    except InvalidSetting:  # refused by the rule, with its reason, where it is asked for
        return name


def _days(sheet: Sheet) -> pd.DatetimeIndex:
    """The UTC day of each row, on which all its stamps agree."""
    stamped = [at for at in sheet.layout.stamps if not _counts_rows(sheet, at)]
    first, *others = stamped or sheet.layout.stamps
    stamps = sheet.column(first)
    for position in list(others):
        cells = sheet.column(position)
        if all(isinstance(cell, str) and _TIME_ALONE.fullmatch(cell.strip()) for cell in cells):
            stamps = [f"{day} {_clock(cell)}" for day, cell in zip(stamps, cells, strict=True)]
            others.remove(position)
    days = bar_days(stamps, partial(_place, sheet, first))
    for position in others:
        same = bar_days(sheet.column(position), partial(_place, sheet, position))
        differing = np.asarray(days != same)
        if differing.any():
            row = int(differing.argmax())
            raise InvalidBars(
                f"{sheet.place(row, position)}: the day {same[row]:%Y-%m-%d} is not that of column "
                f"{sheet.names[first]}, {days[row]:%Y-%m-%d}; keep the true one"
            )
    return days


def _counts_rows(sheet: Sheet, position: int) -> bool:
    """Whether a column is pandas' own index: numbers of rows, which are no stamps."""
    cells = map(str, sheet.column(position))
    named = bool(sheet.names) and normalised(sheet.names[position]).startswith("index")
    return named and all(cell.isdecimal() and len(cell) < len("20000101") for cell in cells)


def _place(sheet: Sheet, position: int, row: int) -> str:
    return sheet.place(row, position)


def _clock(cell: object) -> str:
    digits = str(cell).strip().replace(":", "").ljust(6, "0")
    return f"{digits[:2]}:{digits[2:4]}:{digits[4:]}"


def _require_coin(sheet: Sheet, symbol: str) -> None:
    """Raise InvalidBars where the file says of its rows that they are another coin's.

    It may write a pair, with the exchange before it: `BTCUSDT`, `BTC/USD`, `BINANCE:BTCUSDT`.
    """
    names = "|".join({"BTC": ("BTC", "XBT")}.get(symbol, (re.escape(symbol),)))
    own = re.compile(
        rf"(.*[:.]|\w+_SPOT_)?(?-i:t)?({names})\d{{0,5}}({_QUOTES}.*|[\W_].*)?|X({names})Z...", re.I
    )
    for position, name in enumerate(sheet.names):
        if normalised(name) in _COIN_COLUMNS:
            coins = sorted({str(cell).strip() for cell in sheet.column(position)})
            is_word = len(coins[0]) > _LONGEST_TICKER and not coins[0].isupper()
            is_name = is_word and normalised(name) in _NAME_COLUMNS
            if len(coins) > 1 or not (own.fullmatch(coins[0]) or is_name):
                raise InvalidBars(
                    f"{sheet.path}, column {name}: {', '.join(coins[:3])} in the file of {symbol}; "
                    "give one file a coin and name it after that, or take the column away"
                )


def _has_decimal_comma(sheet: Sheet, columns: Iterable[Sequence[object]]) -> bool:
    """Whether every comma in the numbers can be a decimal one only, none a thousands one.

    Raises InvalidBars where all points may part thousands.
    """
    texts = [str(cell).strip() for cells in columns for cell in cells if isinstance(cell, str)]
    commas, points = ([text for text in texts if mark in text] for mark in ",.")
    if points and all(map(_MAYBE_THOUSANDS.fullmatch, points)):
        raise InvalidBars(
            f"{sheet.path}: in {points[0]!r}, as in every number there with a point, it may part "
            f"thousands or decimals; write {points[0].replace('.', '')} or {points[0]}0"
        )
    return (
        all(map(_DECIMAL_COMMA.fullmatch, commas))
        and not points
        and not all(map(_MAYBE_THOUSANDS.fullmatch, commas))
    )


def _numbers(sheet: Sheet, name: str, decimal_comma: bool) -> list[float]:
    position = sheet.layout.columns[name]
    numbers = []
    for row, cell in enumerate(sheet.column(position)):
        try:
            numbers.append(_number(cell, decimal_comma))
        except ValueError as fault:
            raise InvalidBars(
                f"{sheet.place(row, position)}: {cell!r} {fault}; write it like 1234.5, "
                "no separators, units or abbreviations"
            ) from None
    return numbers


def _number(cell: object, decimal_comma: bool) -> float:
    """Return the number in a cell, NaN for an empty one, which the validation names."""
    if cell is None:
        return float("nan")
    if isinstance(cell, int | float | Decimal) and not isinstance(cell, bool):
        return float(cell)
    text = str(cell).strip()
    if isinstance(cell, str) and text.lower() in _NO_VALUE:
        return float("nan")
    plain = text.replace(",", ".") if decimal_comma else text
    if isinstance(cell, str) and _NUMBER.fullmatch(plain):
        return float(plain)
    if "," in text:
        raise ValueError("holds a comma that may part thousands or decimals")
    if re.fullmatch(r"[\d.]+\s*[kmbt]", text, re.I):
        raise ValueError("is abbreviated")
    raise ValueError("is not a number")
