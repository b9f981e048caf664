"""Daily bars from the public interface of an exchange, through ccxt; no key is needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pandas as pd

from crypto_pool.domain.market import BAR_COLUMNS
from crypto_pool.errors import (
    BurstLimit,
    MalformedAnswer,
    NoData,
    ProviderUnavailable,
    UnknownSymbol,
)

if TYPE_CHECKING:
    import ccxt

ONE_DAY = timedelta(days=1)
EARLIEST_BAR = date(2013, 1, 1)
RETRIES = 3
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Venue:
    """What differs between exchanges: ccxt's class, its page, the quote most coins have."""

    ccxt_name: str
    page_days: int
    quote_currency: str
    first_day: date


VENUES = {
    "binance": Venue("binance", 1000, "USDT", date(2017, 7, 1)),
    # Kraken gives its latest 720 days only, whatever day is asked for.
    "kraken": Venue("kraken", 720, "USD", EARLIEST_BAR),
    # ccxt calls by this name the interface of Coinbase that asks for no key.
    "coinbase": Venue("coinbaseexchange", 300, "USD", date(2015, 1, 1)),
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
        answered_by = f",at={self.base_url.rstrip('/')}" if self.base_url else ""
        return f"exchange:{self.exchange},quote={self.quote}{answered_by}"

    @property
    def synthetic(self) -> bool:
        """Whether a server on this machine answers in the exchange's place."""
        return self.base_url is not None and urlsplit(self.base_url).hostname in LOOPBACK

    @property
    def quote(self) -> str:
        """The currency that prices are in."""
        return self.quote_currency or VENUES[self.exchange].quote_currency

    def daily_bars(self, symbol: str, last_closed: date) -> pd.DataFrame:
        """All daily bars the exchange gives through `last_closed`, page by page.

        The running day may be among them. Raises UnknownSymbol, NoData, BurstLimit,
        ProviderUnavailable or MalformedAnswer.
        """
        pair = self._pair(symbol)
        candles = [candle for page in self._pages(pair, last_closed) for candle in page]
        if not candles:
            raise NoData(
                f"{symbol}: {self.exchange} lists {pair} but has no daily bars of it; "
                "take the coin out of CRYPTO_POOL_SYMBOLS or choose another exchange"
            )
        frame = pd.DataFrame(candles, columns=["date", *BAR_COLUMNS])
        dates = pd.to_datetime(frame.pop("date"), unit="ms")
        index = pd.DatetimeIndex(dates, name="date").as_unit("ns")
        return frame.astype(float).set_axis(index)

    def _pair(self, symbol: str) -> str:
        pair = f"{symbol}/{self.quote}"
        with self._translated(symbol):
            markets = self._client.load_markets()
        if not markets:
            raise MalformedAnswer(
                f"{symbol}: {self.exchange} lists no market at all; run again later, or choose "
                "another CRYPTO_POOL_EXCHANGE"
            )
        if pair not in markets:
            quotes = sorted(
                str(market["quote"])
                for market in markets.values()
                if market["base"] == symbol and market["spot"]
            )
            way_out = (
                f"it trades there against {', '.join(quotes)}, see CRYPTO_POOL_QUOTE_CURRENCY"
                if quotes
                else "take the coin out of CRYPTO_POOL_SYMBOLS "
                "or choose another CRYPTO_POOL_EXCHANGE"
            )
            raise UnknownSymbol(f"{symbol}: {self.exchange} has no {pair}; {way_out}")
        return pair

    def _pages(self, pair: str, last_closed: date) -> Iterator[list[list[float]]]:
        """Pages from the venue's first day on; one without rows is passed over, not an end."""
        venue = VENUES[self.exchange]
        since = venue.first_day
        while since <= last_closed:
            start = datetime(since.year, since.month, since.day, tzinfo=UTC)
            with self._translated(pair):
                page = self._client.fetch_ohlcv(
                    pair, "1d", int(start.timestamp() * 1000), venue.page_days
                )
            yield page
            last = datetime.fromtimestamp(page[-1][0] / 1000, UTC).date() if page else None
            after_window = since + timedelta(days=venue.page_days)
            since = last + ONE_DAY if last is not None and last >= since else after_window

    @cached_property
    def _client(self) -> "ccxt.Exchange":
        """The exchange's client; its markets are loaded once."""
        import ccxt

        client: Any = getattr(ccxt, VENUES[self.exchange].ccxt_name)(
            {
                "enableRateLimit": True,
                "timeout": int(self.timeout_seconds * 1000),
                "options": {
                    "fetchMarkets": {"types": ["spot"]},
                    "maxRetriesOnFailure": RETRIES,
                    "maxRetriesOnFailureDelay": int(self.retry_delay_seconds * 1000),
                },
            }
        )
        # Names of currencies are known without asking; some exchanges want a key for the list.
        client.has["fetchCurrencies"] = False
        if self.base_url is not None:
            base = self.base_url.rstrip("/")
            client.urls["api"] = {
                kind: base + urlsplit(address).path
                for kind, address in client.urls["api"].items()
                if isinstance(address, str)
            }
        return client

    @contextmanager
    def _translated(self, asked: str) -> Iterator[None]:
        """Turn ccxt's errors into the pool's own, without their long chain of causes."""
        import ccxt

        try:
            yield
            return
        except ccxt.BadSymbol as fault:
            error: Exception = UnknownSymbol(
                f"{asked}: {self.exchange} does not know it: {fault}; "
                "take the coin out of CRYPTO_POOL_SYMBOLS or choose another CRYPTO_POOL_EXCHANGE"
            )
        except (ccxt.DDoSProtection, ccxt.RateLimitExceeded) as fault:
            error = BurstLimit(
                f"{asked}: {self.exchange} wants fewer requests: {fault}; run again in some minutes"
            )
        except ccxt.NetworkError as fault:
            error = ProviderUnavailable(
                f"{asked}: {self.exchange} did not answer within {self.timeout_seconds:g} s and "
                f"{RETRIES} retries, or refused: {fault}; run again later, "
                "or choose another CRYPTO_POOL_EXCHANGE"
            )
        except (ccxt.BaseError, ValueError, KeyError, TypeError, IndexError) as fault:
            error = MalformedAnswer(
                f"{asked}: the answer of {self.exchange} cannot be read: "
                f"{type(fault).__name__}: {fault}; run again later, or choose another "
                "CRYPTO_POOL_EXCHANGE"
            )
        raise error from None
