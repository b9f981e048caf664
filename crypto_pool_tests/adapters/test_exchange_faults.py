"""An exchange that is down, refuses or says what cannot be: no bar is made of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import ccxt
import pandas as pd
import pytest
import requests

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.providers import exchange
from crypto_pool.adapters.providers.ccxt_errors import translated
from crypto_pool.adapters.providers.exchange import ExchangeProvider
from crypto_pool.errors import (
    BurstLimit,
    InvalidBars,
    MalformedAnswer,
    ProviderError,
    ProviderUnavailable,
    UnknownSymbol,
)
from crypto_pool.workflow.history import restart_history
from crypto_pool.workflow.pulling import Puller
from crypto_pool_tests.adapters.loopback_exchange import LAST, MARKET, provider
from crypto_pool_tests.exchange_server import PAGE_FAULTS, ExchangeSandbox, serve_exchange


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


@pytest.mark.parametrize(
    ("status", "does", "asked"),
    [
        (400, "refuses the request", 1),
        (401, "asks for a key", 1),
        (403, "forbids the request", 1),
        (404, "has nothing at this address", 1),
        (425, "is out of order", 4),
        (451, "is not allowed to answer from where you are", 1),
        (500, "is out of order", 4),
        (520, "is out of order", 4),
    ],
)
@pytest.mark.parametrize("venue", ["binance", "kraken", "coinbase"])
@pytest.mark.parametrize("body", ["", {"code": 0, "msg": "no", "message": "no", "error": ["no"]}])
def test_each_status_is_told_in_words_and_asked_again_where_a_wait_may_change_it(
    sandbox, url, venue, status, does, asked, body
):
    sandbox.faults.extend([(status, body)] * 20)
    with pytest.raises(ProviderUnavailable, match=rf"BTC: {venue} {does}.* \(HTTP status {status}"):
        provider(url, exchange=venue).daily_bars("BTC", LAST)
    assert len(sandbox.requests) == asked


def test_a_dead_address_is_named_as_unavailable():
    with pytest.raises(ProviderUnavailable, match="binance did not answer"):
        provider("http://127.0.0.1:9").daily_bars("BTC", LAST)


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


def test_case_03_klines_200_html_first_page(sandbox, url):
    sandbox.page_faults.extend(["web page"] * 9)
    with pytest.raises(MalformedAnswer, match="no list of candles: '<html><body>System upgrade"):
        provider(url).daily_bars("BTC", LAST)


def test_a_candle_of_no_utc_day_is_named_by_its_number(sandbox, url):
    sandbox.page_faults.extend(["candles of another day"] * 9)
    with pytest.raises(InvalidBars, match=r"BTC/USDT, candle 1 of binance: .*16:00:00 UTC"):
        provider(url).daily_bars("BTC", LAST)


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
