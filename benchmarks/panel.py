"""What the panel costs on one core: a fit, all origins of its history, and a new day.

Run `python -m benchmarks panel`: 20 synthetic coins over 2,000 days.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from threadpoolctl import threadpool_limits

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.panel_features import panel_table
from crypto_pool.domain.panel_fitting import fit_panel
from crypto_pool.domain.recipe import DEFAULT_TARGET
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.setting_groups import DEFAULT_SYMBOLS
from crypto_pool.workflow.panel import read_bars, update_panel

LAST = SyntheticMarket().epoch + timedelta(days=2000)

Result = TypeVar("Result")


def figures() -> dict[str, float]:
    """Return processor seconds of each."""
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        store = FrameStore(folder)
        for symbol in DEFAULT_SYMBOLS:
            store.write("daily_bars", symbol, SyntheticMarket().bars(symbol, LAST))
        _, everything = _timed(
            lambda: update_panel(store, DEFAULT_TARGET, LAST - timedelta(days=1))
        )
        _, new_day = _timed(lambda: update_panel(store, DEFAULT_TARGET, LAST))
        bars, _ = read_bars(store, LAST)
        table, features = _timed(lambda: panel_table(bars, DEFAULT_TARGET))
        _, fit = _timed(lambda: fit_panel(table, DEFAULT_TARGET, LAST))
    return {
        "panel_features_s": features,
        "panel_fit_s": fit,
        "panel_all_origins_s": everything,
        "panel_new_day_s": new_day,
    }


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    begun = time.process_time()
    result = work()
    return result, round(time.process_time() - begun, 2)
