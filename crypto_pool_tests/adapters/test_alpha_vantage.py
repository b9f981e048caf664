"""Alpha Vantage's client, budget and cache against the sandbox server."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pandas as pd
import pytest

from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.request_plans import RequestPlan
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
from crypto_pool_tests.adapters.alpha_vantage_desk import CANARY, Desk


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
