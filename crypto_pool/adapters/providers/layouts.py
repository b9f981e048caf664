"""The layouts of bar files that are recognised, by their headers or, without one, by their shape.

A header is read name by name, so that a layout which is not listed is read too where its names
are usual ones. What could be meant in two ways is refused by name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from crypto_pool.domain.bar_validation import BAR_COLUMNS, PRICE_COLUMNS
from crypto_pool.errors import InvalidBars

FORM = "date,open,high,low,close,volume"
_STAMPS = {
    *("date", "time", "timestamp", "datetime", "date time", "day", "unix", "unix timestamp"),
    *("date utc", "time utc", "timestamp utc", "open time", "opentime", "time open", "start time"),
    *("time period start", "start", "t", "ts", "index", "index level 0"),
}
_FIRST_TRADE = "time open"
"""A stamp where it is the only one; else the moment of a day's first trade, as CoinAPI has it."""
_VOLUMES = ("volume", "vol", "v", "5 volume", "volumefrom", "volume from", "base volume")
_MORE_VOLUMES = ("volume base", "base asset volume", "volume traded")
_PRICE = r"(?:\d[ab]? )?{0}(?:ing)?(?: price)?(?: usd[tc]?)?|price {0}"
_SHORT = {"open": "o", "high": "h", "low": "l", "close": "c"}
_QUOTES = r"(?: ?(?:usd[tc]?|eur))?"


@dataclass(frozen=True)
class Layout:
    """Where a file's bars stand: positions of the stamps and of the five columns."""

    name: str
    stamps: tuple[int, ...]
    columns: Mapping[str, int]


NAMED: tuple[tuple[str, frozenset[str]], ...] = (
    ("CryptoDataDownload", frozenset({"unix", "date", "symbol"})),
    ("CoinMarketCap", frozenset({"time open", "time high"})),
    ("CryptoCompare", frozenset({"volumefrom", "volumeto"})),
    ("CoinAPI", frozenset({"time period start"})),
    ("MetaTrader", frozenset({"tickvol"})),
    ("Yahoo Finance", frozenset({"adj close"})),
    ("Binance", frozenset({"open time"})),
    ("Alpha Vantage", frozenset({"timestamp", "open usd"})),
    ("date, open, high, low, close, volume", frozenset({"date"})),
    ("TradingView", frozenset({"time"})),
    ("ccxt or freqtrade", frozenset({"timestamp"})),
)
"""Layouts with a header by what marks them, the most special first; any other is `as named`."""

_PLAIN = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}
HEADERLESS: Mapping[int, Layout] = {
    6: Layout("ccxt, no header", (0,), _PLAIN),
    7: Layout("Kraken OHLCVT, no header", (0,), _PLAIN),
    8: Layout("Kraken OHLC, no header", (0,), {**_PLAIN, "volume": 6}),
    11: Layout("Binance klines, no header", (0,), _PLAIN),
    12: Layout("Binance klines, no header", (0,), _PLAIN),
}
"""Layouts without a header by their number of columns."""


def normalised(name: object) -> str:
    """Return a column's words in lower case, with a blank between them: openTime, Open_Time."""
    words = re.sub(r"(?<=[a-z][a-z])(?=[A-Z])|[\W_]+", " ", str(name))
    return words.lower().strip()


def bar_field(name: object, symbol: str) -> str | None:
    """Return which of `stamp`, the prices and `volume` a header names for that coin, if any."""
    plain = normalised(name)
    if plain in _STAMPS:
        return "stamp"
    if plain in _VOLUMES + _MORE_VOLUMES:
        return "volume"
    for price in PRICE_COLUMNS:
        if plain == _SHORT[price] or re.fullmatch(_PRICE.format(price), plain):
            return price
    # That of a coin, which stands before or behind it: `Volume BTC`, `('Close', 'BTC-USD')`.
    matches = (pattern.fullmatch(plain) for pattern in _coin_patterns(symbol.lower()))
    named = next((match[1] for match in matches if match), None)
    return "volume" if named == "vol" else named


def find_layout(names: Sequence[object], symbol: str, where: str) -> Layout:
    """Return where the bars stand under these column names; raises InvalidBars."""
    positions: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        field = bar_field(name, symbol)
        if field is not None:
            positions.setdefault(field, []).append(position)
    shown = [str(name) for name in names]
    if "stamp" not in positions and names and normalised(names[0]) in ("", "unnamed 0", "price"):
        positions["stamp"] = [0]
    missing = [field for field in ("stamp", *BAR_COLUMNS) if field not in positions]
    if missing:
        raise InvalidBars(
            f"{where} has no column {', '.join(missing).replace('stamp', 'date')}; it has "
            f"{', '.join(name or 'one without a name' for name in shown)}, and needs {FORM}"
        )
    columns = {field: _only(field, positions[field], shown, symbol, where) for field in BAR_COLUMNS}
    marks = [normalised(name) for name in names]
    layout = next((title for title, needed in NAMED if needed <= set(marks)), "as named")
    stamps = [at for at in positions["stamp"] if marks[at] != _FIRST_TRADE]
    return Layout(layout, tuple(stamps or positions["stamp"]), columns)


def _only(
    field: str, positions: Sequence[int], shown: Sequence[str], symbol: str, where: str
) -> int:
    """Return the one column of a field; of volumes the coin's own, else the plainest name."""
    if not positions[1:]:
        return positions[0]
    if field == "volume":
        order = [*_VOLUMES, *_MORE_VOLUMES]
        ranked = sorted(
            positions, key=lambda p: order.index(n) if (n := normalised(shown[p])) in order else 0.5
        )
        if normalised(shown[ranked[0]]) != normalised(shown[ranked[1]]):
            return ranked[0]
    names = ", ".join(shown[position] for position in positions)
    twice = len({normalised(shown[position]) for position in positions}) == 1
    raise InvalidBars(
        f"{where} has the column {field} twice; keep one"
        if twice
        else f"{where} has {len(positions)} columns for {field}: {names}; keep one"
    )


@cache
def _coin_patterns(coin: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    fields = "(open|high|low|close|volume|vol)"
    # Yahoo numbers the tickers of coins whose symbol is taken: UNI7083-USD.
    ticker = rf"{re.escape(coin)}\d{{0,5}}{_QUOTES}"
    return re.compile(rf"{fields} {ticker}"), re.compile(rf"{ticker} {fields}")
