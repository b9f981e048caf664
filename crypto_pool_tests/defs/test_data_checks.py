"""What the checks of a coin's data find."""

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.defs.data_checks import (
    _why_unsound,
    recent,
    sane_bars,
    steady_past,
    unbroken,
    undrifted,
    usable,
)
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.bar_validation import BAR_COLUMNS
from crypto_pool.domain.drift import RECENT_ROWS
from crypto_pool.workflow.frames import FrameCache


@pytest.fixture
def store(tmp_path) -> FrameStore:
    """Features of a coin: MACD lies outside on 12 of the latest 30 days, PPO on 18."""
    rows = 300
    index = pd.date_range("2023-01-01", periods=rows, name="date")
    features = pd.DataFrame({"MACD": np.arange(rows) % 7.0, "PPO": np.arange(rows) % 5.0}, index)
    features.iloc[-RECENT_ROWS : -RECENT_ROWS + 12, 0] = 100.0
    features.iloc[-18:, 1] = -100.0
    made = FrameStore(str(tmp_path))
    made.write("feature_table", "BTC", features)
    made.write("daily_bars", "BTC", pd.DataFrame(1.0, index, BAR_COLUMNS))
    return made


def test_a_feature_has_drifted_where_more_than_half_its_latest_days_lie_outside(store):
    pool = PoolResource(bar_date="", only=[])
    assert undrifted(FrameCache(store), "BTC", pool) == "PPO 60% outside"


def test_a_coin_without_bars_is_not_recent_and_is_told_once(store, monkeypatch, tmp_path):
    monkeypatch.setenv("CRYPTO_POOL_DATA_DIR", str(tmp_path))
    for find in (recent, unbroken, sane_bars, steady_past, undrifted, usable):
        said = _why_unsound(FrameCache(store), "GONE", PoolResource(bar_date="", only=[]), find)
        assert ("daily_bars/GONE.parquet does not exist" in said) is (find is recent)
