"""Bars of some coins, their panel, and its forecasts from origin to origin."""

from datetime import date
from functools import lru_cache

import numpy as np
import pandas as pd

from crypto_pool.domain.panel import forecast_panel
from crypto_pool.domain.panel_features import panel_table
from crypto_pool.domain.panel_fitting import fit_panel, panel_origins
from crypto_pool.domain.recipe import Target
from crypto_pool.sandbox.market import SyntheticMarket

SYMBOLS = ("ADA", "BTC", "ETH", "LTC", "SOL", "XRP")
START, LAST = date(2020, 1, 1), date(2021, 10, 31)
TARGET = Target()


@lru_cache
def market_bars() -> dict[str, pd.DataFrame]:
    return {symbol: SyntheticMarket().bars(symbol, LAST) for symbol in SYMBOLS}


@lru_cache
def market_table() -> pd.DataFrame:
    return panel_table(market_bars(), TARGET)


def flat_bars(closes: np.ndarray, start: str = "2021-01-01") -> pd.DataFrame:
    """Bars that close as given, open at the close before and have neither wick."""
    opens = np.concatenate([closes[:1], closes[:-1]])
    return pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, closes),
            "low": np.minimum(opens, closes),
            "close": closes,
            "volume": 1000.0,
        },
        index=pd.date_range(start, periods=len(closes), name="date"),
    )


def walk_forward(table: pd.DataFrame) -> pd.DataFrame:
    """The forecasts of each origin's fit for the sixty days after it."""
    dates = table.index.get_level_values("bar_date")
    parts = []
    for origin in panel_origins(table, TARGET.horizon, LAST):
        ahead = (dates > pd.Timestamp(origin)) & (
            dates <= pd.Timestamp(origin) + pd.Timedelta(days=60)
        )
        if ahead.any():
            parts.append(forecast_panel(fit_panel(table, TARGET, origin), table[ahead]))
    return pd.concat(parts)
