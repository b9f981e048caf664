"""Real bodies of Alpha Vantage, each handled as the name of its file says."""

import json
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.providers.alpha_vantage_answers import parse_bars, parse_indicator, redact
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

BODIES = Path(__file__).parents[3] / "shared" / "alphavantage"

REFUSALS: dict[str, tuple[type[ProviderError], str]] = {
    "error_apikey_missing": (InvalidApiKey, "CRYPTO_POOL_ALPHA_VANTAGE_API_KEY"),
    "error_invalid_call": (UnknownSymbol, "CRYPTO_POOL_SYMBOLS"),
    "information_25_per_day": (DailyQuotaExhausted, "run again after 00:00 UTC"),
    "information_25_per_day_with_key": (DailyQuotaExhausted, "run again after 00:00 UTC"),
    "information_burst_1_per_second": (BurstLimit, "wait and run again"),
    "information_premium_endpoint": (PremiumEndpoint, "CRYPTO_POOL_INDICATOR_SOURCE=local"),
    "note_5_per_minute_500_per_day": (BurstLimit, "wait and run again"),
}
INDICATORS = {
    "sma": ("SMA", ["SMA"]),
    "obv": ("OBV", ["OBV"]),
    "ad": ("AD", ["Chaikin A/D"]),
    "adx": ("ADX", ["ADX"]),
    "aroon": ("AROON", ["Aroon Down", "Aroon Up"]),
    "macd": ("MACD", ["MACD", "MACD_Signal", "MACD_Hist"]),
    "rsi": ("RSI", ["RSI"]),
    "stoch": ("STOCH", ["SlowK", "SlowD"]),
    "mfi": ("MFI", ["MFI"]),
    "dx": ("DX", ["DX"]),
    "trix": ("TRIX", ["TRIX"]),
    "bbands": ("BBANDS", ["Real Upper Band", "Real Middle Band", "Real Lower Band"]),
    "ppo": ("PPO", ["PPO"]),
}
BARS = ("digital_currency_daily_new_format", "digital_currency_daily_old_format")


def body(name: str) -> bytes:
    path = BODIES / f"{name}.json"
    if not path.exists():
        pytest.skip("the recorded bodies are not here")
    return path.read_bytes()


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


@pytest.mark.parametrize("name", INDICATORS)
def test_a_recorded_indicator_is_read(name: str) -> None:
    function, fields = INDICATORS[name]
    raw = body(name)
    read = parse_indicator(raw, function, "DUMMY", {field: field for field in fields})
    (rows,) = (value for key, value in json.loads(raw).items() if key.startswith("Technical"))
    assert len(read) == len(rows) > 0
    for day, row in rows.items():
        assert read.loc[day, fields].tolist() == [float(row[field]) for field in fields]


@pytest.mark.parametrize("name", BARS)
def test_recorded_bars_are_read_in_dollars_or_the_market_asked_for(name: str) -> None:
    raw = body(name)
    read = parse_bars(raw, "BTC")
    rows = json.loads(raw)["Time Series (Digital Currency Daily)"]
    assert len(read) == len(rows)
    assert read.index.is_monotonic_increasing
    day, row = next(iter(rows.items()))
    wanted = next(row[field] for field in ("4. close", "4b. close (USD)") if field in row)
    assert read.loc[pd.Timestamp(day), "close"] == float(wanted)


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
        ({"Time Series (Digital Currency Weekly)": {"2024-06-02": {}}}, MalformedAnswer),
        ({"Time Series (Digital Currency Daily)": {"2024-06-02": "?"}}, MalformedAnswer),
    ],
)
def test_a_body_without_bars_is_its_error(notice: dict[str, str], error: type) -> None:
    with pytest.raises(ProviderError) as raised:
        parse_bars(json.dumps(notice).encode(), "BTC")
    assert type(raised.value) is error


REPEATED = b'{"Time Series (Digital Currency Daily)": {"2024-01-01": {}, "2024-01-01": {}}}'


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"<html>", b'{"Meta Data": {', b"\xff\xfe", b"[" * 99_999, REPEATED]
)
def test_a_body_that_is_no_json_object_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="stored data is untouched"):
        parse_bars(raw, "BTC")


@pytest.mark.parametrize(
    ("meta", "about"),
    [
        ({"2. Digital Currency Code": "ADA"}, "ADA, not BTC"),
        ({"2. Digital Currency Code": "BTC", "4. Market Code": "EUR"}, "EUR, not USD"),
    ],
)
def test_bars_of_another_coin_or_currency_are_no_answer(meta: dict[str, str], about: str) -> None:
    bar = {"1. open": "1", "2. high": "2", "3. low": "1", "4. close": "2", "5. volume": "5"}
    answer = {"Meta Data": meta, "Time Series (Digital Currency Daily)": {"2024-06-02": bar}}
    raw, asked = json.dumps(answer).encode(), {"symbol": "BTC", "market": "USD"}
    with pytest.raises(MalformedAnswer, match=f"BTC DIGITAL_CURRENCY_DAILY: .* about {about}"):
        parse_bars(raw, "BTC", asked)
    own = {"symbol": meta["2. Digital Currency Code"], "market": meta.get("4. Market Code", "")}
    assert len(parse_bars(raw, "BTC", own)) == 1


@pytest.mark.parametrize(
    ("name", "value", "asked"),
    [
        ("1: Symbol", "SOLVEUSDT", "SOLUSDT"),
        ("4: Interval", "weekly", "daily"),
        ("5: Time Period", 60, "7"),
        ("6: Series Type", "open", "close"),
    ],
)
def test_an_indicator_that_was_not_asked_for_is_no_answer(
    name: str, value: object, asked: str
) -> None:
    """What stays unsaid, or is said in other letters, is believed."""
    request = {"symbol": "SOLUSDT", "interval": "daily", "time_period": "7", "series_type": "close"}
    as_asked = {"1: Symbol": "sol/usdt", "4: Interval": "daily", "5: Time Period": 7}
    series = {"Technical Analysis: SMA": {"2024-06-02": {"SMA": "1"}}}

    def read(meta: dict[str, object]) -> pd.DataFrame:
        raw = json.dumps({"Meta Data": meta, **series}).encode()
        return parse_indicator(raw, "SMA", "SOL", {"SMA": "SMA"}, request)

    assert len(read(as_asked)) == 1
    with pytest.raises(MalformedAnswer, match=f"SOL SMA: the answer is about {value}, not {asked}"):
        read({**as_asked, name: value})


@pytest.mark.parametrize("market", ["CNY", "USD"])
def test_prices_in_two_currencies_are_read_in_dollars(market: str) -> None:
    row = {"5. volume": "7", "6. market cap (USD)": "9"}
    for number, name in enumerate(("open", "high", "low", "close"), 1):
        row[f"{number}a. {name} ({market})"] = "5" if market == "USD" else "500"
        row[f"{number}b. {name} (USD)"] = "5"
    answer = {"Time Series (Digital Currency Daily)": {"2017-12-09": row, "2017-12-08": row}}
    read = parse_bars(json.dumps(answer).encode(), "BTC")
    assert read.index.tolist() == [pd.Timestamp("2017-12-08"), pd.Timestamp("2017-12-09")]
    assert read.loc["2017-12-09"].tolist() == [5.0, 5.0, 5.0, 5.0, 7.0]


def test_a_key_in_a_body_is_taken_out_in_every_spelling() -> None:
    key = "A+B/C=1"
    for written in (key, "A%2BB%2FC%3D1", r"A+B\/C=1", r"A\u002BB\u002fC\u003d1", "a+b/c=1"):
        assert redact(f'"key {written}."'.encode(), key) == b'"key [API key]."', written


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


@pytest.mark.parametrize("stamp", ["2024-06-02 04:00:00", "2024-13-02", "?"])
def test_a_stamp_that_is_no_utc_day_is_malformed(stamp: str) -> None:
    day = {"1. open": "1", "2. high": "2", "3. low": "1", "4. close": "2", "5. volume": "5"}
    answer = {"Time Series (Digital Currency Daily)": {"2024-06-02": day, stamp: day}}
    with pytest.raises(MalformedAnswer, match="row 2"):
        parse_bars(json.dumps(answer).encode(), "BTC")


@pytest.mark.parametrize("function", ["AROON", "SMA"])
def test_the_running_day_of_an_indicator_has_the_time_of_its_making(function: str) -> None:
    answer = {
        f"Technical Analysis: {function}": {
            "2024-06-02 14:31": {"X": "2"},
            "2024-06-01": {"X": "1"},
        }
    }
    read = parse_indicator(json.dumps(answer).encode(), function, "BTC", {"x": "X"})
    assert list(read.index) == [pd.Timestamp("2024-06-01"), pd.Timestamp("2024-06-02 14:31")]
    assert list(read["x"]) == [1, 2]


def test_of_what_is_no_json_the_first_forty_bytes_are_told() -> None:
    with pytest.raises(MalformedAnswer, match=f"50 bytes .* beginning '{'<' * 40}'; run again"):
        parse_bars(b"<" * 50, "BTC")
