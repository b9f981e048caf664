"""The random-walk reference: what the target gives away without any learning."""

import numpy as np
import pandas as pd

from crypto_pool.domain.bar_validation import has_unbroken_days
from crypto_pool.domain.breaks import by_segment
from crypto_pool.domain.label_windows import SMA_DAYS
from crypto_pool.domain.members import Trend
from crypto_pool.domain.recipe import DEFAULT_TARGET, Target
from crypto_pool.errors import InvalidSetting

VOLATILITY_DAYS = 60
# Variance, in days, of the 10-day average of a random walk over its last ten steps:
# the sum of (k / 10) squared for k = 1..10.
AVERAGING_VARIANCE_DAYS = 3.85
PROBABILITY_FLOOR = 0.01


def random_walk_probability(
    bars: pd.DataFrame, trend: Trend | str, target: Target = DEFAULT_TARGET
) -> pd.Series:
    """Give P(label = 1) if log prices were a driftless random walk.

    Of `sma_shift`, the close tells where the 10-day average is heading; of
    `forward_return`, a random walk tells the spread alone. Uses bars up to t only. NaN
    where one of the 61 closes behind the 60 returns is missing, or where the returns do
    not vary; none spans a level break. Raises InvalidSetting for a horizon below 10, where
    the two averages overlap and the closed form does not hold.
    """
    if target.horizon < SMA_DAYS:
        raise InvalidSetting(
            f"horizon {target.horizon} is below {SMA_DAYS}: the reference forecast is not defined "
            "there"
        )
    return by_segment(bars, lambda part: _probability(part, trend, target))


def _probability(bars: pd.DataFrame, trend: Trend | str, target: Target) -> pd.Series:
    from scipy.special import ndtr

    index = pd.DatetimeIndex(bars.index)
    close = bars["close"].to_numpy(dtype=np.float64)
    spread = _return_deviation(close)
    usable = has_unbroken_days(index, VOLATILITY_DAYS + 1) & (spread > 0)
    distance, variance_days = _state(close, target)
    scale = np.sqrt(variance_days) * np.where(usable, spread, np.nan)
    if Trend(trend) is Trend.UPTREND:
        probability = ndtr((distance - np.log(1 + target.pct)) / scale)
    else:
        probability = 1 - ndtr((distance - np.log(1 - target.pct)) / scale)
    return pd.Series(probability, index=index, name="reference_probability")


def _state(close: np.ndarray, target: Target) -> tuple[np.ndarray, float]:
    """Give the expected log change of the target, and its variance in daily variances."""
    if target.kind == "forward_return":
        return np.zeros(len(close)), float(target.horizon)
    average = _trailing(close, SMA_DAYS).mean(axis=1)
    return np.log(close / average), target.horizon - SMA_DAYS + AVERAGING_VARIANCE_DAYS


def logit(probability: pd.Series) -> pd.Series:
    """Give log odds of a probability clipped to [0.01, 0.99]."""
    return pd.Series(clipped_logit(probability.to_numpy()), index=probability.index)


def clipped_logit(probability: np.ndarray) -> np.ndarray:
    """Give log odds of probabilities clipped to [0.01, 0.99]."""
    values = np.asarray(probability, dtype=np.float64)
    clipped = values.clip(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _trailing(values: np.ndarray, days: int) -> np.ndarray:
    """Give for each position its last `days` values, NaN before the start.

    Whole windows rather than running sums: the result must not depend on what came
    long before the window.
    """
    padded = np.concatenate([np.full(days - 1, np.nan), values])
    return np.lib.stride_tricks.sliding_window_view(padded, days)


def _return_deviation(close: np.ndarray) -> np.ndarray:
    returns = np.diff(np.log(close), prepend=np.nan)
    windows = _trailing(returns, VOLATILITY_DAYS)
    constant = windows.max(axis=1) == windows.min(axis=1)
    # Rounding gives equal returns a deviation a little above 0.
    return np.where(constant, 0.0, windows.std(axis=1, ddof=1))
