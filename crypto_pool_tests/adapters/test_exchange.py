"""Daily bars through ccxt from a server on loopback that speaks the exchange's format."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import ccxt
import pandas as pd
import pytest
import requests

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.providers import exchange
from crypto_pool.adapters.providers.ccxt_errors import translated
from crypto_pool.adapters.providers.exchange import ExchangeProvider
from crypto_pool.domain.bar_validation import validate_bars
from crypto_pool.errors import (
    BurstLimit,
    InvalidBars,
    MalformedAnswer,
    ProviderError,
    ProviderUnavailable,
    UnknownSymbol,
)
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.history import restart_history
from crypto_pool.workflow.pulling import Puller
from crypto_pool_tests.conftest import PATIENCE_SECONDS
from crypto_pool_tests.exchange_server import PAGE_FAULTS, ExchangeSandbox, serve_exchange

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
    return ExchangeProvider(
        base_url=url, retry_delay_seconds=0.01, timeout_seconds=PATIENCE_SECONDS, **settings
    )


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


def test_a_short_outage_is_waited_out(sandbox, url):
    sandbox.faults.extend([(503, "busy"), (502, "bad gateway")])
    assert len(provider(url).daily_bars("BTC", LAST)) == len(MARKET.bars("BTC", sandbox.today))


def test_an_outage_is_waited_for_in_growing_pauses_and_told_after_the_fourth_answer(
    sandbox, url, monkeypatch
):
    paused = []
    monkeypatch.setattr(exchange, "sleep", paused.append)
    sandbox.faults.extend([(503, "busy")] * 20)
    with pytest.raises(ProviderUnavailable):
        replace(provider(url), retry_delay_seconds=0.5).daily_bars("BTC", LAST)
    assert paused == [0.5, 1.0, 2.0]
    assert len(sandbox.requests) == 4


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


def test_a_venue_is_asked_at_its_own_pace_and_given_twenty_seconds(url):
    venue, stand_in = ExchangeProvider(), provider(url)
    assert (venue._client.timeout, venue._client.enableRateLimit) == (20_000, True)
    assert venue.retry_delay_seconds == 1.0
    assert (stand_in._client.timeout, stand_in._client.enableRateLimit) == (
        PATIENCE_SECONDS * 1000,
        False,
    )


VENUE_PAGES = {"binance": (0, 1, 2), "kraken": (0, 1), "coinbase": (6, 7, 9)}
NO_FAULTS = ("descending", "every candle twice", "a bar of the future too")
CONSISTENT = ("empty page", "page that begins too late")


@dataclass(frozen=True)
class Disturbed:
    """An exchange to disturb, and the bars that an undisturbed pull of it stores."""

    sandbox: ExchangeSandbox
    exchange: ExchangeProvider
    whole: pd.DataFrame

    def pull(self, store: FrameStore) -> int:
        """Pull into the store; how many bars are older than its history."""
        now = datetime(2023, 7, 1, 1, tzinfo=UTC)
        merge, _ = Puller(store, self.exchange, LAST, now).pull("BTC")
        return merge.older


@pytest.fixture(scope="module", params=VENUE_PAGES)
def disturbed(request, tmp_path_factory) -> Iterator[Disturbed]:
    quote = "USDT" if request.param == "binance" else "USD"
    sandbox = ExchangeSandbox(("BTC",), today=LAST + timedelta(days=1), quote=quote)
    with serve_exchange(sandbox) as url:
        exchange = provider(url, exchange=request.param)
        store = FrameStore(str(tmp_path_factory.mktemp("undisturbed")))
        made = Disturbed(sandbox, replace(exchange, retry_delay_seconds=0.0), pd.DataFrame())
        made.pull(store)
        yield replace(made, whole=store.read("daily_bars", "BTC"))


@pytest.mark.parametrize("fault", PAGE_FAULTS)
def test_after_a_faulty_page_a_healthy_pull_gives_undisturbed_bars(tmp_path, disturbed, fault):
    """Of whichever page, once or for as long as the pull: bars are stored whole or not at all.

    Where the exchange says the same wrong thing twice, the next pull fills the days or names
    the older ones, and a restart takes them.
    """
    first, *others = VENUE_PAGES[disturbed.exchange.exchange]
    for page, times in [(first, 1), (first, 60), *((page, 1) for page in others)]:
        store = FrameStore(str(tmp_path / f"{page}_{times}"))
        disturbed.sandbox.page_faults[:] = [""] * page + [fault] * times
        try:
            disturbed.pull(store)
            assert times == 1 or fault in NO_FAULTS + CONSISTENT
        except (ProviderError, InvalidBars):
            assert fault not in NO_FAULTS
            assert not store.exists("daily_bars", "BTC")
        disturbed.sandbox.page_faults.clear()
        older = disturbed.pull(store)
        if older:
            assert (times, fault in CONSISTENT) == (60, True)
            restart_history(store, "BTC", datetime(2023, 7, 1, 2, tzinfo=UTC))
            disturbed.pull(store)
        pd.testing.assert_frame_equal(store.read("daily_bars", "BTC"), disturbed.whole)


def test_an_answer_in_drips_is_none(sandbox, url):
    """Each byte comes in time, and all of them in an hour."""
    exchange = replace(provider(url), timeout_seconds=0.1, retry_delay_seconds=0.0)
    sandbox.pause_seconds = 0.02
    with pytest.raises(ProviderUnavailable, match=r"binance did not answer within 0\.1 s"):
        exchange.daily_bars("BTC", LAST)
    assert len(sandbox.requests) == 4


def test_an_answer_that_cannot_be_unpacked_is_asked_for_again(sandbox, url):
    sandbox.headers["Content-Encoding"] = "gzip"
    exchange = replace(provider(url), retry_delay_seconds=0.0)
    with pytest.raises(ProviderUnavailable, match=r"^BTC: binance did not answer"):
        exchange.daily_bars("BTC", LAST)
    assert len(sandbox.requests) == 4


@pytest.mark.parametrize(
    ("status", "body", "headers", "until"),
    [
        (
            418,
            {"code": -1003, "msg": "Way too much; IP banned until 4102444800000."},
            {},
            "2100-01-01",
        ),
        (418, {"code": -1003, "msg": "IP banned."}, {"Retry-After": "7200"}, "20"),
        (429, {"code": -1003, "msg": "Too many requests."}, {"Retry-After": "30"}, "20"),
        (429, "slow down", {}, "20"),
    ],
)
def test_a_ban_is_met_once_and_the_batch_stops_asking(sandbox, url, status, body, headers, until):
    sandbox.faults.extend([(status, body)] * 20)
    sandbox.headers.update(headers)
    exchange = provider(url)
    for symbol in ("BTC", "ETH"):
        with pytest.raises(BurstLimit, match=f"^{symbol}: .*wait until {until}") as raised:
            exchange.daily_bars(symbol, LAST)
        assert raised.value.__cause__ is None
    assert len(sandbox.requests) == 1


def test_a_refusal_that_asks_for_no_wait_is_over_at_once(sandbox, url):
    sandbox.faults.append((429, {"code": -1003, "msg": "Too many requests."}))
    sandbox.headers["Retry-After"] = "0"
    exchange = provider(url)
    with pytest.raises(BurstLimit):
        exchange.daily_bars("BTC", LAST)
    assert len(exchange.daily_bars("BTC", LAST)) > 720
    sandbox.faults.append((429, {"code": -1003, "msg": "Too many requests."}))
    sandbox.headers["Retry-After"] = "7200"
    for told in ("wants fewer requests", "not asked for"):  # the last refusal is what counts
        with pytest.raises(BurstLimit, match=told):
            exchange.daily_bars("BTC", LAST)


def test_a_coin_that_is_traded_and_gives_no_newer_bar_is_no_end_of_its_history(sandbox, url):
    sandbox.bars = lambda coin, day: MARKET.bars(coin, min(day, LAST))
    assert provider(url).daily_bars("BTC", LAST).index[-1] == pd.Timestamp(LAST)
    sandbox.bars = lambda coin, day: MARKET.bars(coin, min(day, LAST - timedelta(days=3)))
    with pytest.raises(MalformedAnswer, match="trades BTC/USDT and gave no bar after 2023-06-27"):
        provider(url).daily_bars("BTC", LAST)


def test_case_03_klines_200_html_first_page(sandbox, url):
    sandbox.page_faults.extend(["web page"] * 9)
    with pytest.raises(MalformedAnswer, match="no list of candles: '<html><body>System upgrade"):
        provider(url).daily_bars("BTC", LAST)


def test_a_candle_of_no_utc_day_is_named_by_its_number(sandbox, url):
    sandbox.page_faults.extend(["candles of another day"] * 9)
    with pytest.raises(InvalidBars, match=r"BTC/USDT, candle 1 of binance: .*16:00:00 UTC"):
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


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (ccxt.BadSymbol("x"), UnknownSymbol),
        (ccxt.DDoSProtection("x"), BurstLimit),
        (ccxt.RateLimitExceeded("x"), BurstLimit),
        (ccxt.RequestTimeout("x"), ProviderUnavailable),
        (ccxt.ExchangeNotAvailable("x" * 9000), ProviderUnavailable),
        (ccxt.BadResponse("x"), MalformedAnswer),
        (ccxt.ExchangeError("x"), MalformedAnswer),
        (ccxt.AuthenticationError("x"), MalformedAnswer),
        (ValueError("year 57000 is out of range"), MalformedAnswer),
        (OverflowError("x"), MalformedAnswer),
        (KeyError("x"), MalformedAnswer),
        (IndexError("x"), MalformedAnswer),
        (TypeError("x"), MalformedAnswer),
        (AttributeError("x"), MalformedAnswer),
        (pd.errors.OutOfBoundsDatetime("x"), MalformedAnswer),
        (requests.ConnectionError("x"), ProviderUnavailable),
    ],
    ids=lambda value: getattr(type(value), "__name__", ""),
)
def test_no_error_of_a_library_leaves_the_exchange(sandbox, url, monkeypatch, raised, error):
    exchange = replace(provider(url), retry_delay_seconds=0.0)

    def fail(*_, **__):
        raise raised

    monkeypatch.setattr(exchange._client, "fetch_ohlcv", fail)
    with pytest.raises(error) as told:
        exchange.daily_bars("BTC", LAST)
    assert told.value.__cause__ is None
    assert len(str(told.value)) < 800


@pytest.mark.parametrize(("length", "end"), [(300, "x;"), (301, "x ...;")])
def test_what_a_library_says_is_told_up_to_its_300th_character(length, end):
    with (
        pytest.raises(MalformedAnswer) as told,
        translated(ccxt.binance(), "BTC of 2024", "binance"),
    ):
        raise ccxt.BadResponse("x" * length)
    assert f"BadResponse: {'x' * 299}{end} run again later" in str(told.value)
