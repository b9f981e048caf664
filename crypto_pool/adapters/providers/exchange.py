"""Daily bars from the public interface of an exchange, through ccxt; no key is needed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, partial
from time import sleep
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from crypto_pool.adapters.providers.ccxt_errors import EXCERPT, translated
from crypto_pool.adapters.providers.waiting import no_answer, read_body
from crypto_pool.domain.addresses import is_loopback, without_credentials
from crypto_pool.domain.bar_days import bar_days
from crypto_pool.domain.bar_validation import BAR_COLUMNS
from crypto_pool.errors import (
    BurstLimit,
    MalformedAnswer,
    NoData,
    ProviderUnavailable,
    UnknownSymbol,
)

if TYPE_CHECKING:
    import ccxt
    import requests

Answer = TypeVar("Answer")
ONE_DAY = timedelta(days=1)
EARLIEST_BAR = date(2013, 1, 1)
RETRIES = 3


@dataclass(frozen=True)
class Venue:
    """What differs between exchanges: ccxt's class, its page, the quote most coins have."""

    ccxt_name: str
    page_days: int
    quote_currency: str
    first_day: date
    is_windowed: bool = False
    """Whether it answers for the days asked about alone, else with the first bars from there on."""


VENUES = {
    "binance": Venue("binance", 1000, "USDT", date(2017, 7, 1)),
    # Kraken gives its latest 720 days only, whatever day is asked for.
    "kraken": Venue("kraken", 720, "USD", EARLIEST_BAR),
    # ccxt calls by this name the interface of Coinbase that asks for no key.
    "coinbase": Venue("coinbaseexchange", 300, "USD", date(2015, 1, 1), is_windowed=True),
}


@dataclass(frozen=True)
class ExchangeProvider:
    """Daily bars of one exchange in one quote currency, within ccxt's own rate limits.

    `base_url` sends all requests elsewhere, for instance to a server on loopback.
    """

    exchange: str = "binance"
    quote_currency: str | None = None
    base_url: str | None = None
    timeout_seconds: float = 20.0
    retry_delay_seconds: float = 1.0

    @property
    def source(self) -> str:
        """The venue, its quote currency, and who answers for it if it is not the venue."""
        answered_by = (
            f",at={without_credentials(self.base_url).rstrip('/')}" if self.base_url else ""
        )
        return f"exchange:{self.exchange},quote={self.quote}{answered_by}"

    @property
    def synthetic(self) -> bool:
        """Whether a server on this machine answers in the exchange's place."""
        return is_loopback(urlsplit(self.base_url or "").hostname)

    @property
    def quote(self) -> str:
        """The currency that prices are in."""
        return self.quote_currency or VENUES[self.exchange].quote_currency

    def daily_bars(self, symbol: str, last_closed: date) -> pd.DataFrame:
        """All daily bars the exchange gives through `last_closed`, page by page.

        The running day may be among them. Raises ProviderError; InvalidBars for candles that
        are of no UTC days. A refusal (HTTP 418 or 429) is not repeated, for no coin.
        """
        pair = self._pair(symbol)
        pages = [page for page in self._pages(pair, last_closed) if len(page)]
        if not pages:
            raise NoData(
                f"{symbol}: {self.exchange} lists {pair} but has no daily bars of it; "
                "take the coin out of CRYPTO_POOL_SYMBOLS or choose another exchange"
            )
        bars = pd.concat(pages)
        newest = bars.index[bars.index <= pd.Timestamp(last_closed + ONE_DAY)].max()
        if self._client.markets[pair].get("active") and newest < pd.Timestamp(last_closed):
            raise no_answer(
                f"{symbol}: {self.exchange} trades {pair} and gave no bar after "
                f"{newest:%Y-%m-%d}, however often it was asked"
            )
        return bars

    def _pair(self, symbol: str) -> str:
        pair = f"{symbol}/{self.quote}"
        markets = self._ask(symbol, lambda: self._listing(symbol))
        if pair not in markets:
            quotes = sorted(
                str(market["quote"])
                for market in markets.values()
                if market["base"] == symbol and market["spot"]
            )
            way_out = (
                f"it trades there against {', '.join(quotes)}, see CRYPTO_POOL_QUOTE_CURRENCY"
                if quotes
                else "take the coin out of CRYPTO_POOL_SYMBOLS or choose another "
                f"CRYPTO_POOL_EXCHANGE; was it delisted: `crypto-pool retire {symbol}`"
            )
            raise UnknownSymbol(f"{symbol}: {self.exchange} has no {pair}; {way_out}")
        return pair

    def _listing(self, symbol: str) -> Mapping[str, Any]:
        markets: Mapping[str, Any] = self._client.load_markets()
        if not markets:
            raise MalformedAnswer(
                f"{symbol}: {self.exchange} lists no market at all; run again later, or choose "
                "another CRYPTO_POOL_EXCHANGE"
            )
        return markets

    def _pages(self, pair: str, last_closed: date) -> Iterator[pd.DataFrame]:
        """Pages from the venue's first day on, each beginning on the day asked for or later.

        That there is nothing on that day is believed when the exchange says so twice.
        """
        venue = VENUES[self.exchange]
        since, before, begun = venue.first_day, None, False
        while since <= last_closed:
            page = self._ask(pair, partial(self._confirmed, pair, since, begun))
            if before and not begun and len(page) and page.index[0].date() == since:
                yield self._ask(pair, partial(self._confirmed, pair, before, begun))
            yield page
            begun = begun or len(page) > 0
            if len(closed := page.loc[: pd.Timestamp(last_closed)]):
                since = closed.index[-1].date() + ONE_DAY
            elif venue.is_windowed and page.empty:
                before, since = since, since + timedelta(days=venue.page_days)
            else:
                return

    def _confirmed(self, pair: str, since: date, begun: bool) -> pd.DataFrame:
        """The page from a day on; one that begins later begins there again, or is no answer."""
        venue = VENUES[self.exchange]
        page = self._page(pair, since, venue.page_days)
        if len(page) and page.index[0].date() == since:
            return page
        if venue.is_windowed and not begun and page.empty:  # before the coin was listed
            return page
        again = self._page(pair, since, venue.page_days if venue.is_windowed else 1)
        if list(again.index[:1]) != list(page.index[:1]):
            raise no_answer(
                f"{pair}: asked twice for bars from {since} on, {self.exchange} began on "
                f"{_first(page)} and on {_first(again)}"
            )
        return page

    def _page(self, pair: str, since: date, days: int) -> pd.DataFrame:
        """The bars of one answer, ascending, none before `since`; raises MalformedAnswer."""
        start = datetime(since.year, since.month, since.day, tzinfo=UTC)
        candles = self._client.fetch_ohlcv(pair, "1d", int(start.timestamp() * 1000), days)
        answer = self._client.last_json_response
        tables = answer.get("result", {}).values() if isinstance(answer, dict) else [answer]
        rows = next((table for table in tables if isinstance(table, list)), [None])
        values = np.array([candle[1:6] for candle in candles], dtype=float).reshape(-1, 5)
        is_list = all(isinstance(row, list) for row in rows)
        if not is_list or (rows and not (values[:, 3] > 0).any()):
            excerpt = str(self._client.last_http_response)[:EXCERPT]
            raise no_answer(
                f"{pair}: {self.exchange} answered with no list of candles: {excerpt!r}"
            )
        stamps = [candle[0] for candle in candles]
        if not np.isfinite(values).all():
            raise no_answer(f"{pair}: {self.exchange} gave a candle without a number")
        index = bar_days(stamps, lambda row: f"{pair}, candle {row + 1} of {self.exchange}")
        bars = pd.DataFrame(values, index, columns=list(BAR_COLUMNS)).sort_index(kind="stable")
        return bars.loc[pd.Timestamp(since) :]

    def _ask(self, request: str, ask: Callable[[], Answer]) -> Answer:
        """The answer, asked for again a few times where it is none; a refusal is not repeated."""
        if self._refusals and datetime.now(UTC) < self._refusals[-1][0]:
            raise BurstLimit(f"{request}: not asked for, since {self._refusals[-1][1]}")
        for attempt in range(RETRIES + 1):
            try:
                with translated(self._client, request, self.exchange):
                    return ask()
            except BurstLimit as refusal:
                wait = timedelta(seconds=refusal.wait_seconds or 0)
                self._refusals.append((datetime.now(UTC) + wait, str(refusal)))
                raise
            except (ProviderUnavailable, MalformedAnswer) as fault:
                is_final = isinstance(fault, ProviderUnavailable) and fault.wait_seconds is None
                if is_final or attempt == RETRIES:
                    raise
                sleep(self.retry_delay_seconds * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @cached_property
    def _refusals(self) -> list[tuple[datetime, str]]:
        """Until when the exchange wants no request, and how it said so."""
        return []

    @cached_property
    def _client(self) -> "ccxt.Exchange":
        """The exchange's client; its markets are loaded once."""
        import ccxt

        client: Any = getattr(ccxt, VENUES[self.exchange].ccxt_name)(
            {
                "enableRateLimit": not self.synthetic,
                "timeout": int(self.timeout_seconds * 1000),
                "options": {"fetchMarkets": {"types": ["spot"]}},
                "enableLastJsonResponse": True,
            }
        )

        def read(response: "requests.Response", **_: Any) -> None:
            client.last_status = response.status_code
            read_body(response, self.timeout_seconds)

        client.session.hooks["response"].append(read)
        # Names of currencies are known without asking; some exchanges want a key for the list.
        client.has["fetchCurrencies"] = False
        if self.base_url is not None:
            base = self.base_url.rstrip("/")
            client.urls["api"] = {
                kind: base + urlsplit(address).path for kind, address in client.urls["api"].items()
            }
        return client


def _first(page: pd.DataFrame) -> str:
    return "no day" if page.empty else f"{page.index[0]:%Y-%m-%d}"
