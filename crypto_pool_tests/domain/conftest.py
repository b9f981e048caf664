from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.training import TrainingTable, training_table

AS_OF = pd.Timestamp("2021-11-30")


def synthetic_bars(days: int = 500, seed: int = 7, start: str = "2020-08-01") -> pd.DataFrame:
    """Bars of a lively random walk with sound highs and lows."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.04, days)))
    opened = np.concatenate([[100.0], close[:-1]])
    spread = np.abs(random.normal(0, 0.01, (2, days)))
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * (1 + spread[0]),
            "low": np.minimum(opened, close) * (1 - spread[1]),
            "close": close,
            "volume": random.lognormal(8, 0.5, days),
        },
        index=pd.date_range(start, periods=days, name="date"),
    )


@dataclass(frozen=True)
class Market:
    bars: pd.DataFrame
    indicators: pd.DataFrame
    features: pd.DataFrame
    table: TrainingTable


@pytest.fixture(scope="session")
def market() -> Market:
    bars = synthetic_bars()
    indicators = compute_indicators(bars)
    features = build_features(indicators)
    table = training_table(bars, features, "uptrend", AS_OF)
    return Market(bars, indicators, features, table)


@pytest.fixture
def bars(market: Market) -> pd.DataFrame:
    return market.bars.copy()


@pytest.fixture
def table(market: Market) -> TrainingTable:
    return market.table
