"""Bars and indicators in bodies of Alpha Vantage are read as what was asked for, or refused."""

import json

import pandas as pd
import pytest

from crypto_pool.adapters.providers.alpha_vantage_answers import parse_bars, parse_indicator, redact
from crypto_pool.errors import MalformedAnswer
from crypto_pool_tests.adapters.recorded_answers import body

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
