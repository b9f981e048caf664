"""What the checks of a coin's data find."""

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.defs.data_checks import undrifted
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.drift import RECENT_ROWS
from crypto_pool.settings import load_settings


@pytest.fixture
def store(tmp_path) -> FrameStore:
    """Features of a coin of which one lies outside on 12 of the latest 30 days."""
    rows = 300
    index = pd.date_range("2023-01-01", periods=rows, name="date")
    features = pd.DataFrame({"MACD": np.arange(rows) % 7.0, "PPO": np.arange(rows) % 5.0}, index)
    features.iloc[-RECENT_ROWS : -RECENT_ROWS + 12, 0] = 100.0
    made = FrameStore(str(tmp_path))
    made.write("feature_table", "BTC", features)
    made.write("daily_bars", "BTC", pd.DataFrame({"close": 1.0}, index))
    return made


@pytest.mark.parametrize(("limit", "found"), [("0.5", ""), ("0.3", "MACD 40% outside")])
def test_a_feature_has_drifted_beyond_the_limit_of_the_settings(store, monkeypatch, limit, found):
    monkeypatch.setenv("CRYPTO_POOL_DRIFT_LIMIT", limit)
    load_settings.cache_clear()
    try:
        assert undrifted(store, "BTC", PoolResource(bar_date="", only=[])) == found
    finally:
        load_settings.cache_clear()
