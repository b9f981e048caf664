"""A local server that answers as Binance, Kraken and Coinbase do, from the synthetic market."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pandas as pd

from crypto_pool.sandbox.market import SyntheticMarket

DAY_SECONDS = 86_400
BINANCE_LARGEST_PAGE = 1000
KRAKEN_LATEST_DAYS = 720
COINBASE_LARGEST_PAGE = 300
KRAKEN_NAMES = {"BTC": "XXBT", "ETH": "XETH", "USD": "ZUSD"}

Answer = tuple[int, Any]


def _nothing(candles: list[Any]) -> list[Any]:
    return []


def _null_close(candles: list[Any]) -> list[Any]:
    return [[*row[:4], None, *row[5:]] for row in candles]


def _half(candles: list[Any]) -> list[Any]:
    return candles[len(candles) // 2 :]


def _zero_prices(candles: list[Any]) -> list[Any]:
    return [[row[0], *[0 for _ in row[1:]]] for row in candles]


def _and_the_future(candles: list[Any]) -> list[Any]:
    newest = max(candles, default=[0])
    ahead = 4000 * DAY_SECONDS * (1000 if newest[0] > 10**11 else 1)
    return [*candles, [newest[0] + ahead, *newest[1:]]] if candles else []


def _late(candles: list[Any]) -> list[Any]:
    return [[row[0] + 57_600 * (1000 if row[0] > 10**11 else 1), *row[1:]] for row in candles]


PAGE_FAULTS: dict[str, Answer | Callable[[list[Any]], list[Any]]] = {
    "web page": (200, "<html><body>System upgrade</body></html>"),
    "web page of an error": (502, "<html><body>Bad gateway</body></html>"),
    "no body": (200, ""),
    "text": (200, "maintenance"),
    "half an answer": (200, "[[1499040000000,"),
    "error in JSON": (200, {"code": -1001, "msg": "Internal error", "message": "Internal error"}),
    "null": (200, "null"),
    "list of words": (200, ["busy"]),
    "empty page": _nothing,
    "null candles": _null_close,
    "candles of zeros": _zero_prices,
    "a bar of the future too": _and_the_future,
    "page that begins too late": _half,
    "candles of another day": _late,
    "descending": lambda candles: candles[::-1],
    "every candle twice": lambda candles: [row for row in candles for _ in range(2)],
}
"""What a page of candles may be in place of the true one: an answer, or a change of its rows."""
BarSource = Callable[[str, date], pd.DataFrame]


@dataclass
class ExchangeSandbox:
    """What the exchange lists, its bars, the running day, and the faults it shows next.

    `bars` gives a coin's daily bars through a day. The last day it is asked for is
    `today`, the day that has not ended. `faults` are answered before anything
    else, first come first served: an HTTP status with the body to send. `page_faults` are
    those of the next pages of candles by name, "" for none. `pause_seconds` are waited between
    two bytes of a body.
    """

    coins: tuple[str, ...]
    today: date
    quote: str = "USDT"
    bars: BarSource = field(default_factory=lambda: SyntheticMarket().bars)
    faults: list[Answer] = field(default_factory=list)
    page_faults: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    pause_seconds: float = 0.0
    requests: list[str] = field(default_factory=list)

    def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """The status and body for one request."""
        self.requests.append(path)
        if self.faults:
            return self.faults.pop(0)
        routes: dict[str, Callable[[Mapping[str, str]], Answer]] = {
            "/api/v3/exchangeInfo": self._exchange_info,
            "/api/v3/klines": self._klines,
            "/0/public/AssetPairs": self._asset_pairs,
            "/0/public/OHLC": self._ohlc,
            "/products": self._products,
        }
        if path.startswith("/products/") and path.endswith("/candles"):
            return self._page(self._candles(path.split("/")[2], query))
        if path not in routes:
            return 404, {"code": -1, "msg": "Not found"}
        answer = routes[path](query)
        return self._page(answer) if path in ("/api/v3/klines", "/0/public/OHLC") else answer

    def _page(self, answer: Answer) -> Answer:
        """The page, or what the next of its faults makes of it."""
        fault = PAGE_FAULTS.get(self.page_faults.pop(0)) if self.page_faults else None
        if fault is None or isinstance(fault, tuple):
            return fault or answer
        status, body = answer
        if isinstance(body, dict):
            tables = {
                pair: fault(rows) if isinstance(rows, list) else rows
                for pair, rows in body["result"].items()
            }
            return status, {**body, "result": tables}
        return status, fault(body)

    def _exchange_info(self, query: Mapping[str, str]) -> Answer:
        listed = [
            {
                "symbol": f"{coin}{self.quote}",
                "status": "TRADING",
                "baseAsset": coin,
                "baseAssetPrecision": 8,
                "quoteAsset": self.quote,
                "quotePrecision": 8,
                "quoteAssetPrecision": 8,
                "orderTypes": ["LIMIT", "MARKET"],
                "isSpotTradingAllowed": True,
                "isMarginTradingAllowed": False,
                "filters": [],
                "permissions": ["SPOT"],
            }
            for coin in self.coins
        ]
        return 200, {"timezone": "UTC", "rateLimits": [], "symbols": listed}

    def _klines(self, query: Mapping[str, str]) -> Answer:
        coin = query.get("symbol", "").removesuffix(self.quote)
        if coin not in self.coins:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        since = datetime.fromtimestamp(int(query.get("startTime", "0")) / 1000, UTC).date()
        limit = min(int(query.get("limit", "500")), BINANCE_LARGEST_PAGE)
        rows = self.bars(coin, self.today).loc[pd.Timestamp(since) :].head(limit)
        return 200, [
            [
                _seconds(day) * 1000,
                *(f"{value:.8f}" for value in values),
                (_seconds(day) + DAY_SECONDS) * 1000 - 1,
                f"{values[3] * values[4]:.8f}",
                1,
                "0",
                "0",
                "0",
            ]
            for day, *values in rows.itertuples()
        ]

    def _asset_pairs(self, query: Mapping[str, str]) -> Answer:
        pairs = {
            self._kraken_pair(coin): {
                "altname": f"{_kraken_short(coin)}{self.quote}",
                "wsname": f"{_kraken_short(coin)}/{self.quote}",
                "aclass_base": "currency",
                "base": KRAKEN_NAMES.get(coin, coin),
                "aclass_quote": "currency",
                "quote": KRAKEN_NAMES.get(self.quote, self.quote),
                "pair_decimals": 8,
                "lot_decimals": 8,
                "leverage_buy": [],
                "leverage_sell": [],
                "fees": [[0, 0.4]],
                "fees_maker": [[0, 0.25]],
                "ordermin": "0.001",
                "status": "online",
            }
            for coin in self.coins
        }
        return 200, {"error": [], "result": pairs}

    def _ohlc(self, query: Mapping[str, str]) -> Answer:
        listed = {self._kraken_pair(coin): coin for coin in self.coins}
        pair = query.get("pair", "")
        if pair not in listed:
            return 200, {"error": ["EQuery:Unknown asset pair"]}
        since = datetime.fromtimestamp(int(query.get("since", "0")), UTC).date()
        latest = self.bars(listed[pair], self.today).tail(KRAKEN_LATEST_DAYS)
        rows = latest.loc[latest.index > pd.Timestamp(since)]
        candles = [
            [_seconds(day), *map(str, (opened, high, low, close)), str(close), str(volume), 1]
            for day, opened, high, low, close, volume in rows.itertuples()
        ]
        return 200, {
            "error": [],
            "result": {pair: candles, "last": candles[-1][0] if candles else 0},
        }

    def _products(self, query: Mapping[str, str]) -> Answer:
        return 200, [
            {
                "id": f"{coin}-{self.quote}",
                "base_currency": coin,
                "quote_currency": self.quote,
                "quote_increment": "0.01",
                "base_increment": "0.00000001",
                "min_market_funds": "1",
                "status": "online",
                "trading_disabled": False,
            }
            for coin in self.coins
        ]

    def _candles(self, product: str, query: Mapping[str, str]) -> Answer:
        """Newest first: time in seconds, low, high, open, close, volume."""
        coin = product.removesuffix(f"-{self.quote}")
        if coin not in self.coins:
            return 404, {"message": "NotFound"}
        start, end = (_naive(query[name]) for name in ("start", "end"))
        if (end - start).days > COINBASE_LARGEST_PAGE:
            return 400, {"message": "granularity too small for the requested time range"}
        rows = self.bars(coin, self.today).loc[start:end]
        return 200, [
            [_seconds(day), low, high, opened, close, volume]
            for day, opened, high, low, close, volume in rows.iloc[::-1].itertuples()
        ]

    def _kraken_pair(self, coin: str) -> str:
        return f"{KRAKEN_NAMES.get(coin, coin)}{KRAKEN_NAMES.get(self.quote, self.quote)}"


def _kraken_short(coin: str) -> str:
    return "XBT" if coin == "BTC" else coin


def _naive(moment: str) -> pd.Timestamp:
    return pd.Timestamp(moment).tz_convert("UTC").tz_localize(None)


def _seconds(day: Any) -> int:
    return int(pd.Timestamp(day).timestamp())


@contextmanager
def serve_exchange(sandbox: ExchangeSandbox) -> Iterator[str]:
    """Serve on a free loopback port until the block ends; gives the base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status, body = sandbox.answer(parts.path, dict(parse_qsl(parts.query)))
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in sandbox.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if not sandbox.pause_seconds:
                self.wfile.write(content)
                return
            with suppress(OSError):  # who asked has gone
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    time.sleep(sandbox.pause_seconds)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Keep the terminal quiet; `requests` holds what was asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
