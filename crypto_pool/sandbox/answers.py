"""Alpha Vantage's answers, made from any bars: text numbers, newest row first."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from crypto_pool.domain.bar_validation import BAR_COLUMNS
from crypto_pool.domain.indicator_requests import indicator_pulls
from crypto_pool.domain.indicators import compute_indicators

Bars = Callable[[str, date], pd.DataFrame]
"""Bars of a symbol through a day, that day included if there is one; KeyError or UnknownSymbol."""

REAL_WINDOW = 1000
BARS_FUNCTION = "DIGITAL_CURRENCY_DAILY"


def window_of_bars(
    bars: Bars, symbol: str, now: datetime, window: int | None = REAL_WINDOW
) -> pd.DataFrame:
    """The latest bars the provider would use, the running day's unfinished one included."""
    today = now.astimezone(UTC).date()
    known = bars(symbol, today)
    known = known[known.index <= pd.Timestamp(today)]
    if len(known) and known.index[-1] == pd.Timestamp(today):
        seconds = (now - datetime(today.year, today.month, today.day, tzinfo=UTC)).total_seconds()
        known = _with_running_day(known, seconds / 86_400)
    return known if window is None else known.iloc[-window:]


def answer_bars(symbol: str, market: str, known: pd.DataFrame) -> dict[str, Any]:
    """The body of DIGITAL_CURRENCY_DAILY."""
    rows = {}
    for day, row in zip(known.index[::-1], known[list(BAR_COLUMNS)].to_numpy()[::-1], strict=True):
        named = enumerate(zip(BAR_COLUMNS, row, strict=True), 1)
        rows[f"{day:%Y-%m-%d}"] = {f"{i}. {name}": f"{value:.8f}" for i, (name, value) in named}
    return {
        "Meta Data": {
            "1. Information": "Daily Prices and Volumes for Digital Currency",
            "2. Digital Currency Code": symbol,
            "4. Market Code": market,
            "6. Last Refreshed": f"{known.index[-1]:%Y-%m-%d} 00:00:00",
            "7. Time Zone": "UTC",
        },
        "Time Series (Digital Currency Daily)": rows,
    }


def answer_indicator(
    function: str, pair: str, known: pd.DataFrame, parameters: Mapping[str, str]
) -> dict[str, Any]:
    """The body of an indicator; raises KeyError or ValueError for parameters it lacks."""
    needed = {pull.function: pull.parameters for pull in indicator_pulls(7, "close")}[function]
    period = int(parameters["time_period"]) if "time_period" in needed else 7
    series_type: Any = parameters["series_type"] if "series_type" in needed else "close"
    if series_type not in ("open", "high", "low", "close") or not 2 <= period <= 500:
        raise ValueError("series_type or time_period")
    table = compute_indicators(
        known,
        match_provider=True,
        time_period=7 if function == "SMA" else period,
        series_type=series_type,
    )
    pulls = [pull for pull in indicator_pulls(period, series_type) if pull.function == function]
    fields = {field: column for column, field in pulls[0].columns.items()}
    mean = known[series_type].rolling(period).mean().round(4)
    if function == "SMA":
        fields = {"SMA": f"{period}_day_SMA"}
        table = table.assign(**{f"{period}_day_SMA": table.get(f"{period}_day_SMA", mean)})
    elif function == "BBANDS":  # whose middle the pool has no use for
        fields, table = {**fields, "Real Middle Band": "mean"}, table.assign(mean=mean)
    wanted = table[list(fields.values())].dropna()
    texts = [np.char.mod("%.4f", wanted[column].to_numpy()) for column in fields.values()]
    rows = {
        f"{day:%Y-%m-%d}": dict(zip(fields, map(str, values), strict=True))
        for day, *values in reversed(list(zip(wanted.index, *texts, strict=True)))
    }
    name = "Chaikin A/D" if function == "AD" else function
    return {
        "Meta Data": {"1: Symbol": pair, "2: Indicator": name, "4: Interval": "daily"},
        f"Technical Analysis: {name}": rows,
    }


def _with_running_day(known: pd.DataFrame, share: float) -> pd.DataFrame:
    """Show the last bar as it stands when that share of its day has passed."""
    running = known.copy()
    last = known.iloc[-1]
    for column in ("high", "low", "close"):
        moved = last["open"] + share * (last[column] - last["open"])
        running.loc[known.index[-1], column] = round(moved, 8)
    running.loc[known.index[-1], "volume"] = round(share * last["volume"], 8)
    return running
