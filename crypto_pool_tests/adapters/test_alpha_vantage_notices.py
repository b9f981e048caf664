"""What Alpha Vantage says instead of bars, each notice known by what it is about."""

import json

import pytest

from crypto_pool.adapters.providers.alpha_vantage_answers import parse_bars
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
from crypto_pool.sandbox.faults import MINUTE, NOTICES, Fault
from crypto_pool_tests.adapters.recorded_answers import BODIES, body

REFUSALS: dict[str, tuple[type[ProviderError], str]] = {
    "error_apikey_missing": (InvalidApiKey, "CRYPTO_POOL_ALPHA_VANTAGE_API_KEY"),
    "error_invalid_call": (UnknownSymbol, "CRYPTO_POOL_SYMBOLS"),
    "information_25_per_day": (DailyQuotaExhausted, "run again after 00:00 UTC"),
    "information_25_per_day_with_key": (DailyQuotaExhausted, "run again after 00:00 UTC"),
    "information_burst_1_per_second": (BurstLimit, "wait and run again"),
    "information_premium_endpoint": (PremiumEndpoint, "CRYPTO_POOL_INDICATOR_SOURCE=local"),
    "note_5_per_minute_500_per_day": (BurstLimit, "wait and run again"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_recorded_refusal_is_its_error_with_the_way_out(name: str) -> None:
    error, way_out = REFUSALS[name]
    with pytest.raises(ProviderError) as raised:
        parse_bars(body(name), "BTC")
    assert type(raised.value) is error
    assert str(raised.value).startswith("BTC ")
    assert way_out in str(raised.value)


def test_a_recorded_burst_names_how_long_to_wait() -> None:
    waits = {}
    for name in ("information_burst_1_per_second", "note_5_per_minute_500_per_day"):
        with pytest.raises(BurstLimit) as raised:
            parse_bars(body(name), "BTC")
        waits[name] = raised.value.wait_seconds
    assert waits["information_burst_1_per_second"] < 5
    assert waits["note_5_per_minute_500_per_day"] > 60


@pytest.mark.parametrize(
    ("notice", "error"),
    [
        (dict([NOTICES[Fault.BURST]]), BurstLimit),
        (dict([NOTICES[MINUTE]]), BurstLimit),
        (dict([NOTICES[Fault.QUOTA]]), DailyQuotaExhausted),
        (dict([NOTICES[Fault.WRONG_KEY]]), InvalidApiKey),
        (dict([NOTICES[Fault.PREMIUM]]), PremiumEndpoint),
        (dict([NOTICES[Fault.UNKNOWN_SYMBOL]]), UnknownSymbol),
        ({"Information": "Maintenance on Sunday."}, ProviderUnavailable),
        ({}, NoData),
        ({"Time Series (Digital Currency Daily)": {}}, NoData),
        ({"Time Series (Digital Currency Daily)": None}, NoData),
        (
            {"Meta Data": {"1. Information": "Daily Prices"}, "Series": [{"1": "2"}]},
            MalformedAnswer,
        ),
        ({"error": {"code": 429, "message": "Too many requests."}}, BurstLimit),
        ({"errors": [{"text": "Your daily quota is used up."}]}, DailyQuotaExhausted),
        ({"Time Series (Digital Currency Weekly)": {"2024-06-02": {}}}, MalformedAnswer),
        ({"Time Series (Digital Currency Daily)": {"2024-06-02": "?"}}, MalformedAnswer),
    ],
)
def test_a_body_without_bars_is_its_error(notice: dict[str, str], error: type) -> None:
    with pytest.raises(ProviderError) as raised:
        parse_bars(json.dumps(notice).encode(), "BTC")
    assert type(raised.value) is error


THANKS = "Thank you for using Alpha Vantage!"
WORDINGS: dict[str, tuple[str, type[ProviderError], float | None]] = {
    "23_av_minute_level": (
        "Minute-level rate limit exceed. Please stay under the number of API requests per minute "
        "for your premium subscription plan.",
        BurstLimit,
        61,
    ),
    "24_av_5_requests_per_minute_500_per_day": (
        f"{THANKS} Our standard API rate limit is 5 requests per minute and 500 requests per day.",
        BurstLimit,
        61,
    ),
    "25_av_optimizing": (
        "Please consider optimizing your API call frequency.",
        BurstLimit,
        61,
    ),
    "26_av_higher_volume": (
        f"{THANKS} Please visit the premium page if you would like to have a higher API call "
        "volume.",
        BurstLimit,
        61,
    ),
    "27_av_requests_slash_day": (
        f"{THANKS} You have reached the 500 requests/day limit for your free API key.",
        DailyQuotaExhausted,
        None,
    ),
    "28_av_premium_feature": (
        "This parameter value is a premium feature for the endpoint.",
        PremiumEndpoint,
        None,
    ),
    "a second": ("You may send 5 requests/second. Slow down.", BurstLimit, 1.5),
    "a burst": ("Burst pattern detected: spread out your requests.", BurstLimit, 1.5),
    "a minute by a slash": ("Limit: 75 calls/min.", BurstLimit, 61),
    "throttled": ("Request was throttled.", BurstLimit, 61),
    "too many": ("Too many requests. Try again later.", BurstLimit, 61),
    "a plan with more volume": (
        "Please subscribe to a premium plan to have a higher API call volume.",
        BurstLimit,
        61,
    ),
    "a day's allowance": ("Your daily quota of 25 has been used up.", DailyQuotaExhausted, None),
    "24 hours": ("At most 25 requests per 24h are free.", DailyQuotaExhausted, None),
    "today": ("You have used 25 of 25 requests today.", DailyQuotaExhausted, None),
    "an hour": ("You've hit your hourly limit of 60 calls.", BurstLimit, 61),
    "sixty seconds": ("Your plan allows 5 calls every 60 seconds.", BurstLimit, 61),
    "slow down": ("Please slow down.", BurstLimit, 61),
    "moved": ("Digital currency endpoints have been moved to premium.", PremiumEndpoint, None),
    "upgraded": ("This needs an upgraded subscription.", PremiumEndpoint, None),
    "a month": ("You have exceeded the monthly quota.", DailyQuotaExhausted, None),
    "members alone": ("MACD is only available to premium members.", PremiumEndpoint, None),
    "a plan needed": ("This endpoint requires a premium plan.", PremiumEndpoint, None),
    "to unlock": ("Please subscribe to unlock this endpoint.", PremiumEndpoint, None),
    "a function that is none": (
        "This API function (MACDX) does not exist.",
        PremiumEndpoint,
        None,
    ),
    "a key that is none": ("Invalid API key.", InvalidApiKey, None),
    "not let in": ("Unauthorized.", InvalidApiKey, None),
    "a symbol that is none": ("Invalid symbol BTCX.", UnknownSymbol, None),
    "anything else": ("Scheduled maintenance on Sunday.", ProviderUnavailable, 5),
}


@pytest.mark.parametrize("name", WORDINGS)
@pytest.mark.parametrize("under", ["Information", "Note", "Error Message", "message"])
def test_a_notice_is_known_by_what_it_is_about(name: str, under: str) -> None:
    """Wordings seen and others like them, under whatever name they come."""
    text, error, wait = WORDINGS[name]
    recorded = BODIES.parent / "cases" / f"{name}.json"
    raw = recorded.read_bytes() if recorded.exists() else json.dumps({under: text}).encode()
    with pytest.raises(ProviderError) as raised:
        parse_bars(raw, "BTC")
    assert type(raised.value) is error
    assert raised.value.wait_seconds == wait


def test_an_unknown_notice_is_told_whole() -> None:
    text = "We moved. " * 60
    with pytest.raises(ProviderUnavailable) as raised:
        parse_bars(json.dumps({"Information": text}).encode(), "BTC")
    assert text in str(raised.value)


def test_a_notice_beside_bars_takes_none_of_them_away() -> None:
    day = {"1. open": "1", "2. high": "2", "3. low": "1", "4. close": "2", "5. volume": "5"}
    answer = {"Information": "Hello.", "Time Series (Digital Currency Daily)": {"2024-06-02": day}}
    assert len(parse_bars(json.dumps(answer).encode(), "BTC")) == 1
