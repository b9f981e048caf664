"""Alpha Vantage's client, budget and cache against the sandbox server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from pydantic import SecretStr

from crypto_pool.adapters.providers.alpha_vantage import AlphaVantage
from crypto_pool.adapters.rate_limit import RequestBudget
from crypto_pool.adapters.response_cache import ResponseCache
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.request_plans import UNLIMITED, RequestPlan
from crypto_pool.errors import (
    BurstLimit,
    DailyQuotaExhausted,
    InvalidApiKey,
    MalformedAnswer,
    NoData,
    PremiumEndpoint,
    ProviderError,
    ProviderUnavailable,
    UnknownSymbol,
)
from crypto_pool.sandbox.faults import Fault, SwitchedFault
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.sandbox.server import SandboxMarketServer, serving

CANARY = "CANARYKEY0123456"
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


class Desk:
    """A server, a clock and a client on them."""

    def __init__(self, folder: Path, plan: RequestPlan = UNLIMITED) -> None:
        self.folder, self.plan, self.time = folder, plan, NOON
        self.server = SandboxMarketServer(SyntheticMarket().bars, UNLIMITED, lambda: self.time)
        self.slept: list[float] = []
        self.url = ""
        self.silence_seconds = 30.0

    def client(self) -> AlphaVantage:
        return AlphaVantage(
            self.url,
            SecretStr(CANARY),
            RequestBudget(self.folder / "budget", self.plan, now=lambda: self.time),
            ResponseCache(self.folder / "raw_answers", "alpha_vantage", lambda: self.time),
            silence_seconds=self.silence_seconds,
            sleep=self.slept.append,
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    with serving(made.server) as made.url:
        yield made


def test_provider_indicators_equal_local_ones_over_the_same_bars(desk: Desk) -> None:
    client = desk.client()
    bars = client.daily_bars("BTC", date(2024, 5, 31))
    assert len(bars) == 1000
    pulled = client.indicators("BTC")
    local = compute_indicators(bars, match_provider=True)
    assert list(pulled.columns) == list(local.columns)
    pd.testing.assert_frame_equal(pulled, local.loc[pulled.index], check_freq=False)
    assert len(desk.server.arrivals) == 16


def test_bars_that_lack_the_last_closed_day_are_asked_for_again(desk: Desk) -> None:
    """The provider may give it an hour after midnight."""
    market = SyntheticMarket().bars
    desk.server.bars = lambda symbol, last: market(symbol, last - timedelta(days=2))
    assert desk.client().daily_bars("BTC", date(2024, 5, 31)).index[-1] < pd.Timestamp("2024-05-31")
    assert desk.client().requests_needed("BTC", with_indicators=False) == 1
    desk.server.bars = market
    desk.server._bodies.clear()
    for _ in range(2):
        bars = desk.client().daily_bars("BTC", date(2024, 5, 31))
        assert bars.index[-1] >= pd.Timestamp("2024-05-31")
    assert len(desk.server.arrivals) == 2


@pytest.mark.parametrize(("days", "asked"), [(6, 2), (7, 1), (400, 1)])
def test_a_coin_that_is_silent_for_a_week_costs_one_request_a_day(
    desk: Desk, days: int, asked: int
) -> None:
    """It has ended rather than that its bar comes an hour later."""
    market = SyntheticMarket().bars
    desk.server.bars = lambda symbol, last: market(symbol, last - timedelta(days=days + 1))
    for _ in range(2):
        bars = desk.client().daily_bars("BTC", date(2024, 5, 31))
        assert bars.index[-1].date() == date(2024, 5, 31) - timedelta(days=days)
    assert len(desk.server.arrivals) == asked


def test_a_paid_answer_is_not_paid_for_again_that_day(desk: Desk) -> None:
    first = desk.client().daily_bars("BTC", date(2024, 5, 31))
    again = desk.client().daily_bars("BTC", date(2024, 5, 31))
    pd.testing.assert_frame_equal(first, again)
    assert len(desk.server.arrivals) == 1
    desk.time += timedelta(days=1)
    desk.client().daily_bars("BTC", date(2024, 6, 1))
    assert len(desk.server.arrivals) == 2


def test_quota_stops_the_run_and_the_next_day_goes_on(desk: Desk) -> None:
    desk.plan = RequestPlan(per_day=3)
    client = desk.client()
    last_bars = {"A": date(2024, 1, 1), "B": date(2023, 1, 1)}
    planned = client.plan_pull(["A", "B", "C", "D"], last_bars, False)
    assert (planned.fits, planned.deferred) == (("C", "D", "B"), ("A",))  # the stalest first
    for symbol in planned.fits:
        client.daily_bars(symbol, date(2024, 5, 31))
    with pytest.raises(DailyQuotaExhausted, match="run again then"):
        desk.client().daily_bars("A", date(2024, 5, 31))
    assert (client.budget.spent_today(), len(desk.server.arrivals)) == (3, 3)
    desk.time += timedelta(days=1, seconds=1)
    desk.client().daily_bars("A", date(2024, 6, 1))


def test_a_day_the_provider_ends_before_our_count_does_is_over_for_all(desk: Desk) -> None:
    """One request was left by our count, and the provider has counted others."""
    desk.plan = RequestPlan(per_day=2)
    desk.server.switched.append(SwitchedFault(Fault.QUOTA))
    with pytest.raises(DailyQuotaExhausted):
        desk.client().daily_bars("A", date(2024, 5, 31))
    desk.server.switched.clear()
    assert desk.client().budget.left_today() == 0
    with pytest.raises(DailyQuotaExhausted):
        desk.client().daily_bars("B", date(2024, 5, 31))
    assert len(desk.server.arrivals) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.BURST, BurstLimit),
        (Fault.QUOTA, DailyQuotaExhausted),
        (Fault.SERVER_ERROR, ProviderUnavailable),
        (Fault.HANG, ProviderUnavailable),
        (Fault.TRUNCATION, ProviderUnavailable),
        (Fault.GARBAGE, MalformedAnswer),
        (Fault.SLOW_DRIP, ProviderUnavailable),
        (Fault.WRONG_KEY, InvalidApiKey),
        (Fault.PREMIUM, PremiumEndpoint),
        (Fault.UNKNOWN_SYMBOL, UnknownSymbol),
        (Fault.NO_DATA, NoData),
    ],
)
def test_each_fault_is_its_error_without_the_key(
    desk: Desk, fault: Fault, error: type[ProviderError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    desk.server.switched.append(SwitchedFault(fault))
    if fault in (Fault.HANG, Fault.SLOW_DRIP):
        desk.silence_seconds = 0.5
    with pytest.raises(error) as raised:
        desk.client().daily_bars("BTC", date(2024, 5, 31))
    assert raised.value.__cause__ is None
    passing = error in (BurstLimit, ProviderUnavailable, MalformedAnswer)
    assert len(desk.server.arrivals) == (4 if passing else 1)
    assert CANARY not in f"{raised.value!r}{caplog.text}"
    for path in desk.folder.rglob("*"):
        assert path.is_dir() or CANARY.encode() not in path.read_bytes(), path


def test_a_passing_fault_is_waited_out(desk: Desk) -> None:
    for fault in (Fault.BURST, Fault.SERVER_ERROR):
        desk.server.switched.append(SwitchedFault(fault, remaining=1))
    assert len(desk.client().daily_bars("BTC", date(2024, 5, 31))) == 1000
    assert len(desk.slept) == 2


def test_an_outage_is_waited_for_by_chance_and_longer_each_time(desk: Desk) -> None:
    """So that those who ask together do not come back together."""
    desk.server.switched.append(SwitchedFault(Fault.SERVER_ERROR))
    with pytest.raises(ProviderUnavailable):
        desk.client().daily_bars("BTC", date(2024, 5, 31))
    assert all(0 <= wait <= most for wait, most in zip(desk.slept, (1, 2, 4), strict=True))
    assert len(set(desk.slept)) == 3


@pytest.mark.parametrize("retry_after", ["7", "300", None, "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_429_is_waited_out_for_as_long_as_it_says(desk: Desk, retry_after: str | None) -> None:
    desk.server.switched.append(SwitchedFault(Fault.TOO_MANY, remaining=1))
    desk.server.retry_after = retry_after
    assert len(desk.client().daily_bars("BTC", date(2024, 5, 31))) == 1000
    assert desk.slept == [{"7": 7.0, "300": 300.0, None: 61.0}.get(retry_after, 0.0)]


def test_429_that_asks_for_hours_is_told_with_the_time_and_not_slept(desk: Desk) -> None:
    desk.server.switched.append(SwitchedFault(Fault.TOO_MANY))
    for retry_after in ("301", "9" * 30, "Fri, 31 Dec 9999 23:59:59 -2359"):
        desk.server.retry_after = retry_after
        with pytest.raises(BurstLimit, match=r"BTC DIGITAL_CURRENCY_DAILY: .*wait until 20\d\d-"):
            desk.client().daily_bars("BTC", date(2024, 5, 31))
    assert (len(desk.server.arrivals), desk.slept) == (3, [])


def test_an_unknown_notice_is_tried_again_and_told_without_the_key(desk: Desk) -> None:
    desk.server.switched.append(SwitchedFault(Fault.NOTICE))
    with pytest.raises(ProviderUnavailable, match=r"A new notice for \[API key\]"):
        desk.client().daily_bars("BTC", date(2024, 5, 31))
    assert len(desk.server.arrivals) == 4
    desk.server.switched[:] = [SwitchedFault(Fault.NOTICE, remaining=1)]
    assert len(desk.client().daily_bars("BTC", date(2024, 5, 31))) == 1000


def test_a_premium_function_is_asked_for_once_and_not_for_every_coin(desk: Desk) -> None:
    desk.server.switched.append(SwitchedFault(Fault.PREMIUM, function="MACD"))
    client = desk.client()
    with pytest.raises(PremiumEndpoint, match="BTC"):
        client.indicators("BTC")
    asked = len(desk.server.arrivals)
    with pytest.raises(PremiumEndpoint, match=r"^ETH MACD: the key's plan does not"):
        client.indicators("ETH")
    assert len(desk.server.arrivals) == asked


def test_a_wrong_key_is_tried_once_and_not_for_every_coin(desk: Desk) -> None:
    desk.server.switched.append(SwitchedFault(Fault.WRONG_KEY))
    client = desk.client()
    for symbol in ("BTC", "ETH", "SOL"):
        said = f"^{symbol} DIGITAL_CURRENCY_DAILY: the provider refuses the API key"
        with pytest.raises(InvalidApiKey, match=said):
            client.daily_bars(symbol, date(2024, 5, 31))
    assert len(desk.server.arrivals) == 1


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("www.alphavantage.co/query", "MissingSchema"),
        ("http://[::1/query", "ValueError"),
        ("http://a..b/query", "LocationParseError"),
    ],
)
def test_an_address_that_is_none_is_not_asked_again(desk: Desk, url: str, fault: str) -> None:
    desk.url = url
    with pytest.raises(ProviderUnavailable, match=rf"{fault}.*_BASE_URL") as raised:
        desk.client().daily_bars("BTC", date(2024, 5, 31))
    assert raised.value.wait_seconds is None
    assert desk.slept == []


@pytest.mark.parametrize(
    ("status", "error", "told", "asked"),
    [
        (302, ProviderUnavailable, "refuses the request .*_BASE_URL", 1),
        (400, ProviderUnavailable, "refuses the request .*_BASE_URL", 1),
        (401, InvalidApiKey, "refuses the API key .*_ALPHA_VANTAGE_API_KEY to a valid one", 1),
        (402, PremiumEndpoint, "asks to be paid .*or a paid plan", 1),
        (403, InvalidApiKey, "refuses the API key .*_ALPHA_VANTAGE_API_KEY to a valid one", 1),
        (407, ProviderUnavailable, "is behind a proxy .*check the proxy", 1),
        (408, ProviderUnavailable, "is out of order .*run again later", 4),
        (410, ProviderUnavailable, "has nothing at this address any more .*_BASE_URL", 1),
        (451, ProviderUnavailable, "is not allowed to answer .*another CRYPTO_POOL_PROVIDER", 1),
        (500, ProviderUnavailable, "is out of order .*run again later", 4),
        (530, ProviderUnavailable, "is out of order .*run again later", 4),
    ],
)
def test_each_status_is_told_in_words_and_asked_again_where_a_wait_may_change_it(
    desk: Desk, status: int, error: type[ProviderError], told: str, asked: int
) -> None:
    desk.server.error_status = status
    desk.server.switched.append(SwitchedFault(Fault.SERVER_ERROR))
    with pytest.raises(error, match=f"^BTC DIGITAL_CURRENCY_DAILY: the provider {told}") as raised:
        desk.client().daily_bars("BTC", date(2024, 5, 31))
    assert f"(HTTP status {status})" in str(raised.value)
    assert CANARY not in str(raised.value)
    assert len(desk.server.arrivals) == asked


def test_an_answer_that_no_wait_would_change_is_not_asked_for_again(desk: Desk) -> None:
    desk.url += "/elsewhere"
    with pytest.raises(ProviderUnavailable, match=r"\(HTTP status 404\)"):
        desk.client().daily_bars("BTC", date(2024, 5, 31))
    assert desk.slept == []


def test_a_server_on_this_machine_is_asked_past_the_environment_s_proxy(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert len(desk.client().daily_bars("BTC", date(2024, 5, 31))) == 1000
    desk.url = "http://alpha.invalid/query"
    with pytest.raises(ProviderUnavailable, match=r"\(ProxyError\)"):
        desk.client().daily_bars("ETH", date(2024, 5, 31))


def test_two_that_ask_the_same_at_once_pay_once(desk: Desk) -> None:
    clients = [desk.client(), desk.client()]
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda c: c.daily_bars("BTC", date(2024, 5, 31)), clients)
    pd.testing.assert_frame_equal(one, other)
    assert len(desk.server.arrivals) == 1
