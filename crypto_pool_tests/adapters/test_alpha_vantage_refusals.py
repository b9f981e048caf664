"""What Alpha Vantage's client waits out, and what it tells without asking again."""

from datetime import date

import pytest

from crypto_pool.errors import (
    BurstLimit,
    InvalidApiKey,
    PremiumEndpoint,
    ProviderError,
    ProviderUnavailable,
)
from crypto_pool.sandbox.faults import Fault, SwitchedFault
from crypto_pool_tests.adapters.alpha_vantage_desk import CANARY, Desk


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
