"""The paper account of the live forecasts, by the rules of the replay's."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from crypto_pool.serving.chart_data import value_chart

# A year's figures of fewer days are luck: three good ones made 5,000 % a year.
DAYS_OF_A_RATE = 30
OF_A_YEAR = ("annual_return", "annual_volatility", "sharpe_ratio")

# What a pool could have followed: made in time, by what had not seen the day.
SIGNALS = """
    SELECT prediction_date, symbol, trend, prediction_window_days AS horizon,
           coalesce(signal AND NOT in_sample AND late IS NOT TRUE, false) AS signal
    FROM (  -- a file of 1.0.0 lacks the column
        FROM predictions UNION ALL BY NAME SELECT NULL::BOOLEAN AS late WHERE false
    ) WHERE prediction_window_days IS NOT NULL
"""
BARS = """
    SELECT symbol, date::TIMESTAMP AS date, open, close FROM daily_bars
    WHERE date BETWEEN ? AND ? AND list_contains(?, symbol)
    -- to join predictions would take 12 MiB more
"""


@dataclass(frozen=True)
class LiveAccount:
    """What following the signals brought after costs, beside buying and holding."""

    first: date
    last: date
    cost: float
    horizon: int
    statistics: dict[str, dict[str, Any]]
    chart: dict[str, Any]


def live_account(cursor: duckdb.DuckDBPyConnection) -> LiveAccount | None:
    """Return the account from the first forecast to the last; None before there are two days."""
    from crypto_pool.replay.account import (
        Costs,
        account_statistics,
        account_value,
        buy_and_hold,
        follow_signals,
    )

    forecasts = cursor.execute(SIGNALS).df()
    if forecasts.empty:
        return None
    dated, coins = forecasts["prediction_date"], list(forecasts["symbol"].unique())
    spoken_for = [dated.min(), dated.max(), coins]
    bars = {
        str(symbol): rows.set_index("date").sort_index()
        for symbol, rows in cursor.execute(BARS, spoken_for).df().groupby("symbol")
    }
    if not any(len(rows) > 1 for rows in bars.values()):
        return None
    costs, horizon = Costs(), int(forecasts["horizon"].iloc[-1])
    returns = {
        "following the signals": follow_signals(forecasts, bars, horizon, costs),
        "buying and holding": buy_and_hold(bars, costs),
    }
    days = [day.date() for day in returns["buying and holding"].index]
    unknown = dict.fromkeys(OF_A_YEAR) if len(days) < DAYS_OF_A_RATE else {}
    return LiveAccount(
        days[0],
        days[-1],
        costs.rate,
        horizon,
        {name: account_statistics(daily) | unknown for name, daily in returns.items()},
        value_chart(days, {n: account_value(daily).to_list() for n, daily in returns.items()}),
    )
