"""A local server that answers as Binance, Kraken and Coinbase do, from the synthetic market."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
BarSource = Callable[[str, date], pd.DataFrame]


@dataclass
class ExchangeSandbox:
    """What the exchange lists, its bars, the running day, and the faults it shows next.

    `bars` gives a coin's daily bars through a day. The last day it is asked for is
    `today`, the day that has not ended. `faults` are answered before anything
    else, first come first served: an HTTP status with the body to send.
    """

    coins: tuple[str, ...]
    today: date
    quote: str = "USDT"
    bars: BarSource = field(default_factory=lambda: SyntheticMarket().bars)
    faults: list[Answer] = field(default_factory=list)
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
            return self._candles(path.split("/")[2], query)
        return routes[path](query) if path in routes else (404, {"code": -1, "msg": "Not found"})

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
            self.end_headers()
            self.wfile.write(content)

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
