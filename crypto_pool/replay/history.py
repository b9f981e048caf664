"""A coin's bars, and what each replayed day would have shown of them."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from hashlib import sha256

import numpy as np
import pandas as pd

from crypto_pool.adapters.providers import MarketDataProvider
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.labels import label_target
from crypto_pool.domain.market import Trend, validate_bars
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.reference import random_walk_probability
from crypto_pool.errors import InvalidBars
from crypto_pool.replay.plan import ReplayPlan


@dataclass(frozen=True)
class CoinHistory:
    """One coin's validated bars, through the day that scores the last forecast."""

    symbol: str
    bars: pd.DataFrame
    faults: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """Fingerprint of the bars."""
        values = np.ascontiguousarray(self.bars.to_numpy(dtype="<f8"))
        days = pd.DatetimeIndex(self.bars.index).to_numpy().astype("datetime64[D]").astype("<i8")
        return sha256(days.tobytes() + values.tobytes()).hexdigest()[:16]

    def known_at(self, day: date) -> pd.DataFrame:
        """Bars that were closed at the end of a day."""
        return self.bars.loc[: pd.Timestamp(day)]


def read_history(
    provider: MarketDataProvider, symbol: str, plan: ReplayPlan, last_closed: date
) -> CoinHistory:
    """Pull a coin's bars and validate them as a live pool does.

    Raises CryptoPoolError for a coin that is unknown, bad, or too short throughout.
    """
    through = min(plan.scored_through, last_closed)
    # Length is asked for again at each training: a coin may join later.
    checked = validate_bars(provider.daily_bars(symbol, through), symbol, through)
    faults = tuple(fault.message for fault in checked.faults if fault.kind != "unfinished")
    history = CoinHistory(symbol, checked.bars, faults)
    bars = len(history.known_at(plan.retrain_dates[-1]))
    if bars < plan.min_history_bars:
        raise InvalidBars(
            f"{symbol}: {bars} bars on {plan.retrain_dates[-1]}, the last training, at least "
            f"{plan.min_history_bars} are needed; give more history or lower "
            "CRYPTO_POOL_MIN_HISTORY_BARS"
        )
    return history


def observe_days(bars: pd.DataFrame, plan: ReplayPlan) -> pd.DataFrame:
    """Features and both reference forecasts of each replayed day, from the bars up to it.

    Computed anew for each day from nothing but what had closed, so that no forecast
    depends on the indicators being causal. Days without a complete row are missing.
    """
    days = bars.loc[pd.Timestamp(plan.start) + pd.Timedelta(days=1) : pd.Timestamp(plan.end)].index
    rows = [_observe(bars.loc[:day], plan) for day in days]
    return pd.concat(rows).dropna() if rows else pd.DataFrame()


def realised_labels(bars: pd.DataFrame, plan: ReplayPlan) -> pd.DataFrame:
    """What became of each day, a column for each trend; NaN where it is not known."""
    return pd.DataFrame(
        {str(trend): label_target(bars, trend, plan.recipe.target) for trend in Trend}
    )


def features_of(bars: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Features of bars as a live pool of this recipe computes them."""
    indicators = compute_indicators(
        bars, time_period=recipe.time_period, series_type=recipe.series_type
    )
    return build_features(indicators, time_period=recipe.time_period)


def _observe(known: pd.DataFrame, plan: ReplayPlan) -> pd.DataFrame:
    today = known.index[-1]
    features = features_of(known, plan.recipe).loc[today:]
    reference = {
        reference_column(trend): random_walk_probability(known, trend, plan.recipe.target)
        for trend in Trend
    }
    return features.assign(**{name: values.loc[today:] for name, values in reference.items()})


def reference_column(trend: Trend) -> str:
    """Name the column of a trend's reference forecast."""
    return f"reference_probability_{trend}"
