"""The indicator table to the 19 features: a public contract by name and order.

Features of extensions come behind them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crypto_pool.domain.bar_validation import missing_days
from crypto_pool.domain.breaks import by_segment
from crypto_pool.domain.indicators import PROVIDER_DECIMALS, compute_indicators
from crypto_pool.domain.reference import VOLATILITY_DAYS
from crypto_pool.errors import InvalidFeatures, let_interrupts_pass

DAYS_AFTER_GAP = 20
SMALLEST_PROVIDER_PRICE = 0.01
# By how many bars a feature of an extension must not know the next: a late day, and the first that
# can be trained on, before which many fill in what they cannot know yet.
_DAYS_LOOKED_AT = (VOLATILITY_DAYS + 1, 150)


@dataclass(frozen=True)
class FeatureBuild:
    """Clean feature rows, and how many rows were dropped for which reason."""

    features: pd.DataFrame
    dropped: dict[str, int]
    incomplete: tuple[str, ...] = ()
    """Features that have no finite value on any day."""


@dataclass(frozen=True)
class Feature:
    """A feature of an extension: `compute(bars, indicators)` gives its values, by bar date.

    Both frames hold the same days of one coin, ascending, with no break or long gap among them. A
    value at t rests on rows up to t; where it is missing, the row is dropped.
    """

    name: str
    compute: Callable[[pd.DataFrame, pd.DataFrame], pd.Series]
    code: str = ""

    def of(self, bars: pd.DataFrame, indicators: pd.DataFrame) -> pd.Series:
        """Return its values; raises InvalidFeatures with its name, whatever goes wrong in it."""
        try:
            computed = self.compute(bars.copy(), indicators.copy())
            values = pd.Series(computed).astype(np.float64)
        except BaseException as fault:
            let_interrupts_pass(fault)
            reason = f"{type(fault).__name__}: {fault}"
            raise InvalidFeatures(f"feature {self.name}: {reason}") from fault
        if not values.index.equals(bars.index):
            raise InvalidFeatures(f"feature {self.name}: it must give one value for each bar")
        return values

    def check(self) -> None:
        """Raise InvalidFeatures if it fails on made-up bars, or sees what comes later."""
        random, days = np.random.default_rng(7), pd.date_range("2020-01-01", periods=200)
        close = np.exp(np.cumsum(random.normal(0, 0.04, len(days))))
        wide = np.exp(np.abs(random.normal(0, 0.02, len(days))))
        prices = {"open": close, "high": close * wide, "low": close / wide, "close": close}
        bars = pd.DataFrame({**prices, "volume": 1000 * wide}, index=days.rename("date"))
        whole = self.of(bars, compute_indicators(bars))
        for day in _DAYS_LOOKED_AT:
            for other in (bars.iloc[:day], pd.concat([bars.iloc[:day], 3 * bars.iloc[day:]])):
                values = self.of(other, compute_indicators(other))
                if not np.allclose(whole.iloc[:day], values.iloc[:day], equal_nan=True):
                    raise InvalidFeatures(f"feature {self.name}: it changes with what comes later")
        if not np.isfinite(whole.iloc[-1]):
            raise InvalidFeatures(f"feature {self.name}: it has no value after 200 bars")


FEATURES: dict[str, Feature] = {}
"""Features of extensions, by name, as they are loaded."""


def feature_names(time_period: int = 7) -> tuple[str, ...]:
    """Name the 19 features in their order, and those of extensions behind them."""
    return (
        f"{time_period}_day_ADX",
        "AroonDown",
        "AroonUp",
        "MACD",
        "MACD_Signal",
        "MACD_Hist",
        f"{time_period}_day_RSI",
        "SlowK",
        "SlowD",
        f"{time_period}_day_MFI",
        f"{time_period}_day_DX",
        f"{time_period}_day_TRIX",
        "PPO",
        "OBV_pct_change",
        "AD_pct_change",
        "BBANDS_distance_pct",
        "2_day_SMA_10_day_SMA_pct_diff",
        "2_day_SMA_20_day_SMA_pct_diff",
        "10_day_SMA_20_day_SMA_pct_diff",
        *FEATURES,
    )


def build_features(
    indicators: pd.DataFrame, *, time_period: int = 7, bars: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Give the clean feature rows alone, as `assemble_features` does; raises InvalidFeatures."""
    return assemble_features(indicators, time_period, bars).features


def assemble_features(
    indicators: pd.DataFrame, time_period: int = 7, bars: pd.DataFrame | None = None
) -> FeatureBuild:
    """Derive the features and drop, with a count, the rows that are not usable.

    `indicators` are those of `compute_indicators`, with the same `time_period`; of rows up to t the
    features at t are made. A row is counted under the first reason that holds: a missing value, an
    infinite one (in single precision), a missing day less than 20 days before it. Features of
    extensions need the bars too. Raises InvalidFeatures where these are missing, or one of them
    fails.
    """
    own = _of_extensions(indicators, bars)
    derived = _derive(indicators, time_period).assign(**own)
    derived = derived.loc[:, list(feature_names(time_period))]
    with np.errstate(over="ignore"):
        values = derived.to_numpy(dtype=np.float32)  # as trees and nets read them
    missing = np.isnan(values).any(axis=1)
    infinite = ~missing & np.isinf(values).any(axis=1)
    after_gap = ~missing & ~infinite & _is_after_gap(pd.DatetimeIndex(derived.index))
    dropped = {"missing_value": missing, "infinite_value": infinite, "after_gap": after_gap}
    return FeatureBuild(
        features=derived.loc[~(missing | infinite | after_gap)],
        dropped={reason: int(rows.sum()) for reason, rows in dropped.items()},
        incomplete=tuple(derived.columns[~np.isfinite(values).any(axis=0)]),
    )


def require_digits(bars: pd.DataFrame, symbol: str, indicator_source: str) -> None:
    """Raise InvalidFeatures for a price too small for the 4 decimals of a provider's indicators."""
    price = float(bars["close"].iloc[-1])
    if indicator_source == "provider" and price < SMALLEST_PROVIDER_PRICE:
        raise InvalidFeatures(
            f"{symbol}: the provider gives its indicators with {PROVIDER_DECIMALS} decimals, which "
            f"leave nothing of a coin of {price:g} USD (from {SMALLEST_PROVIDER_PRICE:g} on they "
            "say something); set CRYPTO_POOL_INDICATOR_SOURCE=local"
        )


def require_rows(build: FeatureBuild, symbol: str) -> None:
    """Raise InvalidFeatures, with the first cause, if no row was left."""
    if len(build.features):
        return
    counts = ", ".join(f"{rows} by {reason}" for reason, rows in build.dropped.items() if rows)
    cause = (
        f"{', '.join(build.incomplete)} can be computed on no day"
        if build.incomplete
        else f"days are missing less than {DAYS_AFTER_GAP} days before every bar"
        if build.dropped["after_gap"]
        else "no bar has all of them"
    )
    raise InvalidFeatures(
        f"{symbol}: no day has its {len(build.features.columns)} features: {cause} "
        f"(rows dropped: {counts or 'none were there'}); correct the source"
    )


def _derive(indicators: pd.DataFrame, time_period: int) -> pd.DataFrame:
    upper, lower = indicators["Real_Upper_Band"], indicators["Real_Lower_Band"]
    sma = {period: indicators[f"{period}_day_SMA"] for period in (2, 10, 20)}
    return indicators.assign(
        **{
            f"{time_period}_day_TRIX": indicators["TRIX"] * 100,
            "OBV_pct_change": indicators["OBV"].pct_change(fill_method=None) * 100,
            "AD_pct_change": indicators["Chaikin A/D"].pct_change(fill_method=None) * 100,
            "BBANDS_distance_pct": (upper - lower) / lower * 100,
            "2_day_SMA_10_day_SMA_pct_diff": (sma[2] - sma[10]) / sma[10] * 100,
            "2_day_SMA_20_day_SMA_pct_diff": (sma[2] - sma[20]) / sma[20] * 100,
            "10_day_SMA_20_day_SMA_pct_diff": (sma[10] - sma[20]) / sma[20] * 100,
        }
    )


def _of_extensions(indicators: pd.DataFrame, bars: pd.DataFrame | None) -> dict[str, pd.Series]:
    if not FEATURES:
        return {}
    if bars is None:
        raise InvalidFeatures(f"{', '.join(FEATURES)}: features of extensions need bars=")
    given = bars.loc[bars.index.isin(indicators.index)]

    def compute(part: pd.DataFrame) -> pd.DataFrame:
        rows = indicators.loc[part.index]
        return pd.DataFrame({name: one.of(part, rows) for name, one in FEATURES.items()})

    return {str(name): values for name, values in by_segment(given, compute).items()}


def _is_after_gap(index: pd.DatetimeIndex) -> np.ndarray:
    gaps = missing_days(index)
    if len(gaps) == 0:
        return np.zeros(len(index), dtype=bool)
    latest_gap = gaps.searchsorted(index) - 1
    distance = index - gaps[np.maximum(latest_gap, 0)]
    return np.asarray((latest_gap >= 0) & (distance < pd.Timedelta(days=DAYS_AFTER_GAP)))
