"""What a member forecasts: a shift over the horizon, of the 10-day average or of the close."""

import numpy as np
import pandas as pd

from crypto_pool.domain.bar_validation import has_unbroken_days
from crypto_pool.domain.breaks import by_segment
from crypto_pool.domain.indicators import closing_averages
from crypto_pool.domain.label_windows import SMA_DAYS
from crypto_pool.domain.members import Trend
from crypto_pool.domain.recipe import DEFAULT_TARGET, ROUNDING, Target


def label_target(
    bars: pd.DataFrame, trend: Trend | str, target: Target = DEFAULT_TARGET
) -> pd.Series:
    """Label each bar 1.0 or 0.0 by its change, or NaN where that is not known or not knowable.

    By bar date; whoever trains on it takes the labels that were known by then.
    """
    return label_change(realised_change(bars, target), trend, target)


def realised_change(bars: pd.DataFrame, target: Target = DEFAULT_TARGET) -> pd.Series:
    """Return the change of the target over the horizon by bar date, as a fraction.

    From closes alone, whatever features are computed from. Looks ahead by design: the change at t
    is known once day t + horizon has closed. Offsets are calendar days; NaN where a day of it is
    missing, or it spans a level break or a gap of more than 20 days.
    """
    change = _forward_return if target.kind == "forward_return" else _average_shift
    return by_segment(bars, lambda part: change(part, target))


def label_change(change: pd.Series, trend: Trend | str, target: Target) -> pd.Series:
    """Return 1.0 where a change is the trend, 0.0 where it is not, NaN where it is not known."""
    move = change if Trend(trend) is Trend.UPTREND else -change
    hit = move >= target.pct - ROUNDING
    return hit.astype(float).where(change.notna()).rename("label")


def _average_shift(bars: pd.DataFrame, target: Target) -> pd.Series:
    index = pd.DatetimeIndex(bars.index)
    average = closing_averages(bars)["10_day_SMA"].where(has_unbroken_days(index, SMA_DAYS))
    later = average.reindex(index + pd.Timedelta(days=target.horizon)).set_axis(index)
    return (later - average) / average


def _forward_return(bars: pd.DataFrame, target: Target) -> pd.Series:
    index, close = pd.DatetimeIndex(bars.index), bars["close"].astype(np.float64)
    later = close.reindex(index + pd.Timedelta(days=target.horizon)).set_axis(index)
    return later / close - 1
