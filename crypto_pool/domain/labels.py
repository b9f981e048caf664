"""What a member forecasts: the shift of the 10-day average over the horizon."""

import numpy as np
import pandas as pd

from crypto_pool.domain.market import Trend, has_unbroken_days

SMA_DAYS = 10


def label_trend(
    indicators: pd.DataFrame,
    trend: Trend | str,
    horizon: int = 10,
    target_pct: float = 0.05,
) -> pd.Series:
    """Label each row 1.0 or 0.0, or NaN where it is not known or not knowable.

    Looks ahead by design: the label at t is known once day t + horizon has closed.
    Offsets are calendar days; a missing day in either 10-day window makes it NaN.
    `target_pct` is a fraction: 0.05 is 5 %.
    """
    index = pd.DatetimeIndex(indicators.index)
    average = indicators["10_day_SMA"].where(has_unbroken_days(index, SMA_DAYS))
    later = average.reindex(index + pd.Timedelta(days=horizon)).to_numpy()
    change = (later - average.to_numpy()) / average.to_numpy()
    rises = Trend(trend) is Trend.UPTREND
    hit = change >= target_pct if rises else change <= -target_pct
    return pd.Series(
        np.where(np.isnan(change), np.nan, hit.astype(float)), index=index, name="label"
    )
