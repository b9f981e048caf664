"""Daily bars through ccxt from a server on loopback that speaks the exchange's format."""

from datetime import timedelta

import ccxt
import pandas as pd
import pytest

from crypto_pool.adapters.providers.exchange import ExchangeProvider
from crypto_pool.domain.bar_validation import validate_bars
from crypto_pool.errors import MalformedAnswer, UnknownSymbol
from crypto_pool_tests.adapters.loopback_exchange import LAST, MARKET, provider
from crypto_pool_tests.conftest import PATIENCE_SECONDS
from crypto_pool_tests.exchange_server import PAGE_FAULTS, ExchangeSandbox, serve_exchange


def test_binance_is_read_page_by_page_to_the_last_closed_day(sandbox, url):
    bars = provider(url).daily_bars("BTC", LAST)
    whole = MARKET.bars("BTC", sandbox.today)
    pages, confirmed_start = 2, 1
    assert sandbox.requests.count("/api/v3/klines") == pages + confirmed_start
    pd.testing.assert_frame_equal(bars, whole)
    checked = validate_bars(bars, "BTC", LAST)
    assert checked.bars.index[-1] == pd.Timestamp(LAST)
    assert list(checked.faults) == ["unfinished"]


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


@pytest.mark.parametrize(
    ("venue", "quote", "first_day", "days"),
    [
        ("binance", "USDT", "2017-07-01", 1000),
        ("kraken", "USD", "2013-01-01", 720),
        ("coinbase", "USD", "2015-01-01", 300),
    ],
)
def test_a_venue_is_asked_from_its_first_day_on_for_pages_of_its_length(
    monkeypatch, venue, quote, first_day, days
):
    asked, sandbox = [], ExchangeSandbox(("BTC",), today=LAST, quote=quote)

    def answer(pair, timeframe, since, limit):
        asked.append((pair, timeframe, pd.Timestamp(since, unit="ms"), limit))
        raise ccxt.BadSymbol("enough")

    with serve_exchange(sandbox) as url:
        exchange = provider(url, exchange=venue)
        monkeypatch.setattr(exchange._client, "fetch_ohlcv", answer)
        with pytest.raises(UnknownSymbol):
            exchange.daily_bars("BTC", LAST)
    assert asked == [(f"BTC/{quote}", "1d", pd.Timestamp(first_day), days)]


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


def test_a_venue_is_asked_at_its_own_pace_and_given_twenty_seconds(url):
    venue, stand_in = ExchangeProvider(), provider(url)
    assert (venue._client.timeout, venue._client.enableRateLimit) == (20_000, True)
    assert venue.retry_delay_seconds == 1.0
    assert (stand_in._client.timeout, stand_in._client.enableRateLimit) == (
        PATIENCE_SECONDS * 1000,
        False,
    )


def test_a_coin_that_is_traded_and_gives_no_newer_bar_is_no_end_of_its_history(sandbox, url):
    sandbox.bars = lambda coin, day: MARKET.bars(coin, min(day, LAST))
    assert provider(url).daily_bars("BTC", LAST).index[-1] == pd.Timestamp(LAST)
    sandbox.bars = lambda coin, day: MARKET.bars(coin, min(day, LAST - timedelta(days=3)))
    with pytest.raises(MalformedAnswer, match="trades BTC/USDT and gave no bar after 2023-06-27"):
        provider(url).daily_bars("BTC", LAST)


def test_case_04_binance_kline_microseconds(sandbox, url):
    def in_microseconds(candles):
        return [[row[0] * 1000, *row[1:]] for row in candles]

    sandbox.today = LAST
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PAGE_FAULTS, "microseconds", in_microseconds)
        sandbox.page_faults.extend(["microseconds"] * 5)
        bars = provider(url).daily_bars("BTC", LAST)
    pd.testing.assert_frame_equal(bars, MARKET.bars("BTC", LAST))
