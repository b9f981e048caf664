"""The steps that bring the data folder of an older crypto_pool up to date.

Each is given the data folder and the root of the Parquet files, which may lie elsewhere.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore

Migrations = Mapping[int, Callable[[Path, str], None]]
CHAMPION_TERMS = ("target", "target_pct", "prediction_window_days", "synthetic")


def tell_what_champions_forecast(data_dir: Path, frames_root: str) -> None:
    """Give rows of `champions` the terms that their version's latest forecast was made on.

    One that has not forecast yet gets them at its member's next training.
    """
    store = FrameStore(frames_root)
    keys = store.keys("champions")
    forecasts = store.read_all("daily_predictions") if keys else pd.DataFrame()
    for key in keys:
        champion = store.read("champions", key)
        if forecasts.empty or set(CHAMPION_TERMS) <= set(champion.columns):
            continue
        row = champion.iloc[0]
        is_its_own = pd.Series(True, index=forecasts.index)
        for name in ("symbol", "trend", "model_version"):
            is_its_own &= forecasts[name] == row[name]
        its_own = forecasts[is_its_own].sort_values("prediction_date")
        if its_own.empty:
            continue
        terms = {name: its_own[name].iloc[-1] for name in CHAMPION_TERMS if name in its_own}
        store.write("champions", key, champion.assign(**terms))


# From a version to the next.
MIGRATIONS: Migrations = {1: tell_what_champions_forecast}
