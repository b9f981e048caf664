"""What an older crypto_pool stored is read by this one as if it had been written by it."""

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.schema_version import known_version, open_data_folder, stored_version

TERMS = ["target", "target_pct", "prediction_window_days", "synthetic"]


def champion(symbol: str, version: str) -> pd.DataFrame:
    return pd.DataFrame([{"symbol": symbol, "trend": "uptrend", "model_version": version}])


def forecast(day: str, version: str, target_pct: float) -> dict:
    return {
        "prediction_date": pd.Timestamp(day).date(),
        "symbol": "BTC",
        "trend": "uptrend",
        "model_version": version,
        "target": "sma_shift",
        "target_pct": target_pct,
        "prediction_window_days": 10,
        "synthetic": True,
    }


@pytest.fixture(params=["below the data folder", "elsewhere"])
def frames_root(request, tmp_path) -> str:
    elsewhere = request.param == "elsewhere"
    return f"memory://{tmp_path.name}" if elsewhere else str(tmp_path / "parquet")


@pytest.fixture
def store(frames_root, tmp_path) -> FrameStore:
    (tmp_path / "provenance.json").write_text("{}")
    made = FrameStore(frames_root)
    made.write("champions", "BTC|uptrend", champion("BTC", "2"))
    made.write("champions", "ETH|uptrend", champion("ETH", "1"))
    for day, version, target_pct in (("2023-01-01", "1", 0.07), ("2023-01-02", "2", 0.05)):
        rows = pd.DataFrame([forecast(day, version, target_pct)])
        made.write("daily_predictions", day, rows)
    return made


def test_champions_of_a_first_folder_say_what_they_forecast(store, frames_root, tmp_path):
    open_data_folder(tmp_path, frames_root)
    assert stored_version(tmp_path) == known_version() == 2
    told = store.read("champions", "BTC|uptrend").iloc[0]
    assert [told[name] for name in TERMS] == ["sma_shift", 0.05, 10, True]
    silent = store.read("champions", "ETH|uptrend")  # it has not forecast yet
    assert list(silent.columns) == ["symbol", "trend", "model_version"]


def test_a_folder_without_forecasts_is_only_numbered(tmp_path):
    store = FrameStore(str(tmp_path / "parquet"))
    store.write("champions", "BTC|uptrend", champion("BTC", "1"))
    open_data_folder(tmp_path, str(tmp_path / "parquet"))
    assert stored_version(tmp_path) == 2
    pd.testing.assert_frame_equal(store.read("champions", "BTC|uptrend"), champion("BTC", "1"))
