"""Daily bars to technical indicators, with the provider's names and conventions."""

from datetime import date

import numpy as np
import pandas as pd

from crypto_pool.domain.breaks import by_segment, segment_begins
from crypto_pool.domain.recipe import SeriesType

SIMPLE_AVERAGE = 0  # TA-Lib's MA_Type for SMA
PROVIDER_DECIMALS = 4
SMA_PERIODS = (2, 10, 20)


def compute_indicators(
    bars: pd.DataFrame,
    match_provider: bool = False,
    *,
    time_period: int = 7,
    series_type: SeriesType = "close",
) -> pd.DataFrame:
    """Compute the indicator table over exactly the bars given; warm-up rows are NaN.

    By bar date, under the names of Alpha Vantage's fields and with its parameters. After a gap of
    more than 20 days and at a level break all of them start anew.
    `match_provider` floors volume for OBV and A/D and rounds to 4 decimals, which gives
    Alpha Vantage's digits over the same bars. The value at t depends on bars up to t
    only, and for the recursive ones (EMA family, OBV, A/D) on where the bars start.
    """
    return by_segment(bars, lambda part: _compute(part, match_provider, time_period, series_type))


def restart_at_breaks(
    given: pd.DataFrame,
    bars: pd.DataFrame,
    starts_on: date | None,
    *,
    time_period: int,
    series_type: SeriesType,
) -> pd.DataFrame:
    """Return a provider's indicators with what runs across a break computed from the bars since.

    It knows nothing of the breaks, nor that a history was restarted on a day: rows before that
    day are left out. The digits are the provider's.
    """
    start = given.index[0] if starts_on is None else bars.index[0]
    begins = [start, *bars.index[segment_begins(bars)]]
    across = [day for day in begins if day > given.index[0]]
    if not across:
        return given
    own = compute_indicators(
        bars.loc[across[0] :], True, time_period=time_period, series_type=series_type
    )
    before: pd.DataFrame = given.loc[(given.index >= start) & (given.index < across[0])]
    return pd.concat([before, own])


def _compute(
    bars: pd.DataFrame, match_provider: bool, time_period: int, series_type: SeriesType
) -> pd.DataFrame:
    import talib  # who needs the names alone, as the server does, goes without it

    high, low, close, volume = (
        bars[column].to_numpy(dtype=np.float64) for column in ("high", "low", "close", "volume")
    )
    series = bars[series_type].to_numpy(dtype=np.float64)
    summed_volume = np.floor(volume) if match_provider else volume

    aroon_down, aroon_up = talib.AROON(high, low, timeperiod=time_period)
    macd, macd_signal, macd_hist = talib.MACD(series, 12, 26, 9)
    slow_k, slow_d = talib.STOCH(high, low, close, 5, 3, SIMPLE_AVERAGE, 3, SIMPLE_AVERAGE)
    upper_band, _, lower_band = talib.BBANDS(series, time_period, 2.0, 2.0, SIMPLE_AVERAGE)
    columns = {
        f"{time_period}_day_ADX": talib.ADX(high, low, close, timeperiod=time_period),
        "AroonDown": aroon_down,
        "AroonUp": aroon_up,
        "MACD": macd,
        "MACD_Signal": macd_signal,
        "MACD_Hist": macd_hist,
        f"{time_period}_day_RSI": talib.RSI(series, timeperiod=time_period),
        "SlowK": slow_k,
        "SlowD": slow_d,
        f"{time_period}_day_MFI": talib.MFI(high, low, close, volume, timeperiod=time_period),
        f"{time_period}_day_DX": talib.DX(high, low, close, timeperiod=time_period),
        "TRIX": talib.TRIX(series, timeperiod=time_period),
        # The provider's PPO averages simply; TA-Lib 0.8 would default to EMA.
        "PPO": talib.PPO(series, 12, 26, SIMPLE_AVERAGE),
        "OBV": talib.OBV(close, summed_volume),
        "Chaikin A/D": talib.AD(high, low, close, summed_volume),
        "Real_Upper_Band": upper_band,
        "Real_Lower_Band": lower_band,
    } | _simple_averages(series)
    indicators = pd.DataFrame(columns, index=bars.index)
    return indicators.round(PROVIDER_DECIMALS) if match_provider else indicators


def closing_averages(bars: pd.DataFrame) -> pd.DataFrame:
    """Give the simple averages of the close alone, as `compute_indicators` names them."""
    return pd.DataFrame(_simple_averages(bars["close"].to_numpy(np.float64)), index=bars.index)


def _simple_averages(prices: np.ndarray) -> dict[str, np.ndarray]:
    import talib

    return {f"{period}_day_SMA": talib.SMA(prices, timeperiod=period) for period in SMA_PERIODS}
