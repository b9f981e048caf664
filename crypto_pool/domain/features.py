"""The indicator table to the 19 features: a public contract by name and order."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crypto_pool.domain.indicators import PROVIDER_DECIMALS
from crypto_pool.domain.market import missing_days
from crypto_pool.errors import InvalidFeatures

DAYS_AFTER_GAP = 20
SMALLEST_PROVIDER_PRICE = 0.01


@dataclass(frozen=True)
class FeatureBuild:
    """Clean feature rows, and how many rows were dropped for which reason."""

    features: pd.DataFrame
    dropped: dict[str, int]
    incomplete: tuple[str, ...] = ()
    """Features that have no finite value on any day."""


def feature_names(time_period: int = 7) -> tuple[str, ...]:
    """Name the 19 features in their order."""
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
    )


def build_features(indicators: pd.DataFrame, *, time_period: int = 7) -> pd.DataFrame:
    """Give the clean feature rows alone; see `assemble_features` for what was dropped."""
    return assemble_features(indicators, time_period).features


def assemble_features(indicators: pd.DataFrame, time_period: int = 7) -> FeatureBuild:
    """Derive the features and drop, with a count, the rows that are not usable.

    A row is counted under the first reason that holds: a missing value, an infinite
    one, a missing day less than 20 days before it.
    """
    derived = _derive(indicators, time_period).loc[:, list(feature_names(time_period))]
    values = derived.to_numpy(dtype=np.float64)
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


def _is_after_gap(index: pd.DatetimeIndex) -> np.ndarray:
    gaps = missing_days(index)
    if len(gaps) == 0:
        return np.zeros(len(index), dtype=bool)
    latest_gap = gaps.searchsorted(index) - 1
    distance = index - gaps[np.maximum(latest_gap, 0)]
    return np.asarray((latest_gap >= 0) & (distance < pd.Timedelta(days=DAYS_AFTER_GAP)))
