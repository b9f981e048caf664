"""What a member forecasts: a shift over the horizon, of the 10-day average or of the close."""

import numpy as np
import pandas as pd

from crypto_pool.domain.breaks import by_segment
from crypto_pool.domain.indicators import closing_averages
from crypto_pool.domain.market import Trend, has_unbroken_days
from crypto_pool.domain.recipe import DEFAULT_TARGET, Target

SMA_DAYS = 10


def label_trend(
    indicators: pd.DataFrame,
    trend: Trend | str,
    target: Target = DEFAULT_TARGET,
) -> pd.Series:
    """Label each row 1.0 or 0.0, or NaN where it is not known or not knowable.

    Looks ahead by design: the label at t is known once day t + horizon has closed.
    Offsets are calendar days; a missing day in either 10-day window makes it NaN.
    """
    index = pd.DatetimeIndex(indicators.index)
    average = indicators["10_day_SMA"].where(has_unbroken_days(index, SMA_DAYS))
    later = average.reindex(index + pd.Timedelta(days=target.horizon)).to_numpy()
    change = (later - average.to_numpy()) / average.to_numpy()
    return _label_change(index, change, trend, target.pct)


def label_forward_return(
    bars: pd.DataFrame,
    trend: Trend | str,
    target: Target = DEFAULT_TARGET,
) -> pd.Series:
    """Label each bar by its close-to-close return over the horizon, as `label_trend` does.

    Looks ahead by design: the label at t is known once day t + horizon has closed, and
    NaN where that day is missing.
    """
    index = pd.DatetimeIndex(bars.index)
    close = bars["close"].astype(np.float64)
    later = close.reindex(index + pd.Timedelta(days=target.horizon)).to_numpy()
    return _label_change(index, later / close.to_numpy() - 1, trend, target.pct)


def label_target(
    bars: pd.DataFrame, trend: Trend | str, target: Target = DEFAULT_TARGET
) -> pd.Series:
    """Label each bar by the target, of the close whatever the features are computed from.

    NaN where the target spans a level break.
    """
    if target.kind == "forward_return":
        return by_segment(bars, lambda part: label_forward_return(part, trend, target))
    return by_segment(bars, lambda part: label_trend(closing_averages(part), trend, target))


def _label_change(
    index: pd.DatetimeIndex, change: np.ndarray, trend: Trend | str, target_pct: float
) -> pd.Series:
    rises = Trend(trend) is Trend.UPTREND
    hit = change >= target_pct if rises else change <= -target_pct
    return pd.Series(
        np.where(np.isnan(change), np.nan, hit.astype(float)), index=index, name="label"
    )
