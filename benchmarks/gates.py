"""Whether the gates are a coin's flip: how many baselines pass them, by the rule of the threshold.

The old rule, of 1.0.0, takes the threshold of the best smoothed overall_score, whatever becomes of
the recalls; the new one is `choose_threshold`. Each member's panel is judged as in a training,
every 60 days from 2020-06 to 2021-12: a fold's threshold comes from the folds before it.

Run `python -m benchmarks gates` with CRYPTO_POOL_MARKET_DATA_DIR naming a folder of daily bars, one
CSV a coin, which the repository does not hold; without it a synthetic market stands in.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.providers.directory import DirectoryProvider
from crypto_pool.domain import signal_threshold
from crypto_pool.domain.bar_validation import validate_bars
from crypto_pool.domain.evaluation import evaluation_metrics
from crypto_pool.domain.gates import Gates
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.policies import evaluate
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.training import TrainingTable, training_table
from crypto_pool.errors import UnscoredCandidate
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.panel import panel_probability, update_panel

SYMBOLS = [
    *("BTC", "ETH", "ADA", "XRP", "LINK", "BCH", "LTC", "ETC"),
    *("FIL", "XTZ", "MATIC", "MKR", "SNX", "NEO", "GNO", "DASH"),
]
FIRST, LAST, EVERY_DAYS = date(2020, 6, 1), date(2021, 12, 31), 60
RECIPE = Recipe()


def old_rule(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the threshold of the best smoothed overall_score, as 1.0.0 did."""
    with patch.object(signal_threshold, "RECALL_NEEDED", -1.0):
        return signal_threshold.choose_threshold(labels, probabilities)


def figures(symbols: list[str] = SYMBOLS, every_days: int = EVERY_DAYS) -> dict[str, float]:
    """Return the share of trainings whose baseline passes the gates, in percent, by each rule."""
    rules = {"old": old_rule, "new": signal_threshold.choose_threshold}
    found: dict[str, list[Mapping[str, float | None]]] = {name: [] for name in rules}
    for table in _tables(symbols, every_days):
        for name, rule in rules.items():
            with patch("crypto_pool.domain.purged.choose_threshold", rule):
                try:
                    judged = evaluate(None, table, RECIPE)
                except UnscoredCandidate:
                    continue
            found[name].append(evaluation_metrics(judged.evaluation))
    shares = {}
    for name, metrics in found.items():
        passed = [not Gates().failures(one) for one in metrics]
        shares[f"gates_{name}_rule_passed_pct"] = 100 * float(np.mean(passed))
        for score in ("overall_score", "precision"):
            values = [one[score] for one in metrics if one[score] is not None]
            shares[f"gates_{name}_rule_{score}"] = float(np.mean(values))
    return {"gates_trainings": float(len(found["new"])), **shares}


def _tables(symbols: list[str], every_days: int) -> Iterator[TrainingTable]:
    store = FrameStore("memory://gates")
    bars = {symbol: bars_of(symbol) for symbol in symbols}
    for symbol, frame in bars.items():
        store.write("daily_bars", symbol, frame)
    panel = update_panel(store, RECIPE.target, LAST).forecasts
    for symbol, frame in bars.items():
        # The baseline looks at no feature: any column with the dates will do.
        features = pd.DataFrame({"close": frame["close"]})
        for trend in Trend:
            forecasts = panel_probability(panel, Member(symbol, trend))
            day = FIRST
            while day <= LAST:
                stamp = pd.Timestamp(day)
                yield training_table(frame, features, trend, stamp, RECIPE, forecasts)
                day += timedelta(days=every_days)


def bars_of(symbol: str) -> pd.DataFrame:
    """Return a coin's bars of the named folder, or of the synthetic market."""
    folder = os.environ.get("CRYPTO_POOL_MARKET_DATA_DIR")
    if folder is None:
        return SyntheticMarket().bars(symbol, LAST)
    read = DirectoryProvider(Path(folder)).daily_bars(symbol, LAST)
    return validate_bars(read, symbol, LAST).bars


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{name}: {value:.3f}")
