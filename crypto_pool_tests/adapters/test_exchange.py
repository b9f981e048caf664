"""Daily bars through ccxt from a server on loopback that speaks the exchange's format."""

from collections.abc import Iterator
from datetime import date, timedelta

import pandas as pd
import pytest

from crypto_pool.adapters.providers.exchange import ExchangeProvider
from crypto_pool.domain.market import validate_bars
from crypto_pool.errors import BurstLimit, MalformedAnswer, ProviderUnavailable, UnknownSymbol
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool_tests.exchange_server import ExchangeSandbox, serve_exchange

LAST = date(2023, 6, 30)
MARKET = SyntheticMarket()


@pytest.fixture
def sandbox() -> ExchangeSandbox:
    return ExchangeSandbox(("BTC", "ETH"), today=LAST + timedelta(days=1))


@pytest.fixture
def url(sandbox: ExchangeSandbox) -> Iterator[str]:
    with serve_exchange(sandbox) as address:
        yield address


def provider(url: str, **settings: object) -> ExchangeProvider:
    return ExchangeProvider(base_url=url, retry_delay_seconds=0.01, timeout_seconds=5, **settings)


def test_binance_is_read_page_by_page_to_the_last_closed_day(sandbox, url):
    bars = provider(url).daily_bars("BTC", LAST)
    whole = MARKET.bars("BTC", sandbox.today)
    assert sandbox.requests.count("/api/v3/klines") == 2
    pd.testing.assert_frame_equal(bars, whole)
    checked = validate_bars(bars, "BTC", LAST, 365)
    assert checked.bars.index[-1] == pd.Timestamp(LAST)
    assert [fault.kind for fault in checked.faults] == ["unfinished"]


def test_markets_are_loaded_once_for_all_coins(sandbox, url):
    exchange = provider(url)
    for symbol in ("BTC", "ETH"):
        exchange.daily_bars(symbol, LAST)
    assert sandbox.requests.count("/api/v3/exchangeInfo") == 1


def test_kraken_gives_its_latest_720_days_in_dollars():
    sandbox = ExchangeSandbox(("BTC", "ETH"), today=LAST + timedelta(days=1), quote="USD")
    with serve_exchange(sandbox) as url:
        exchange = provider(url, exchange="kraken")
        bars = exchange.daily_bars("BTC", LAST)
    assert exchange.source == f"exchange:kraken,quote=USD,at={url}"
    pd.testing.assert_frame_equal(bars, MARKET.bars("BTC", sandbox.today).tail(720))


def test_coinbase_is_read_in_windows_of_300_days_that_may_hold_nothing_yet():
    sandbox = ExchangeSandbox(("BTC", "ETH"), today=LAST + timedelta(days=1), quote="USD")
    with serve_exchange(sandbox) as url:
        bars = provider(url, exchange="coinbase").daily_bars("BTC", LAST)
    whole = MARKET.bars("BTC", sandbox.today)
    asked = sandbox.requests.count("/products/BTC-USD/candles")
    assert asked > len(whole) / 300
    pd.testing.assert_frame_equal(bars.loc[: pd.Timestamp(LAST)], whole.loc[: pd.Timestamp(LAST)])


def test_a_coin_the_exchange_lacks_is_named_with_the_way_out(url):
    with pytest.raises(UnknownSymbol, match=r"GRT: binance has no GRT/USDT.*CRYPTO_POOL_SYMBOLS"):
        provider(url).daily_bars("GRT", LAST)
    with pytest.raises(UnknownSymbol, match=r"no BTC/EUR; it trades there against USDT"):
        provider(url, quote_currency="EUR").daily_bars("BTC", LAST)


def test_a_short_outage_is_waited_out(sandbox, url):
    sandbox.faults.extend([(503, "busy"), (502, "bad gateway")])
    assert len(provider(url).daily_bars("BTC", LAST)) == len(MARKET.bars("BTC", sandbox.today))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ((503, "busy"), ProviderUnavailable),
        ((429, {"code": -1003, "msg": "Too many requests."}), BurstLimit),
        ((200, '{"symbols": [{"symbol": '), MalformedAnswer),
        ((200, []), MalformedAnswer),
    ],
)
def test_each_lasting_fault_is_one_short_typed_error(sandbox, url, fault, error):
    sandbox.faults.extend([fault] * 20)
    with pytest.raises(error, match=r"^BTC/?.*binance") as raised:
        provider(url).daily_bars("BTC", LAST)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_dead_address_is_named_as_unavailable():
    with pytest.raises(ProviderUnavailable, match="binance did not answer"):
        provider("http://127.0.0.1:9").daily_bars("BTC", LAST)


def test_the_source_tells_venues_currencies_and_stand_ins_apart(url):
    sources = {
        ExchangeProvider().source,
        ExchangeProvider(quote_currency="USD").source,
        ExchangeProvider(exchange="coinbase").source,
        provider(url).source,
    }
    assert len(sources) == 4
    assert provider(url).synthetic
    assert not ExchangeProvider().synthetic
