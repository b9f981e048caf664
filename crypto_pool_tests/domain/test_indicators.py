"""The indicators, each by its definition, and as the provider rounds them."""

import numpy as np
import pandas as pd
import pytest
import talib

from crypto_pool.domain.indicators import compute_indicators

INDICATOR_COLUMNS = [
    "7_day_ADX", "AroonDown", "AroonUp", "MACD", "MACD_Signal", "MACD_Hist", "7_day_RSI",
    "SlowK", "SlowD", "7_day_MFI", "7_day_DX", "TRIX", "PPO", "OBV", "Chaikin A/D",
    "Real_Upper_Band", "Real_Lower_Band", "2_day_SMA", "10_day_SMA", "20_day_SMA",
]  # fmt: skip


def test_indicator_names_are_the_contract_and_the_index_is_kept(bars):
    indicators = compute_indicators(bars)
    assert set(indicators.columns) == set(INDICATOR_COLUMNS)
    assert indicators.index.equals(bars.index)
    assert indicators.iloc[0].isna().any()
    assert "14_day_RSI" in compute_indicators(bars, time_period=14)


def test_ppo_averages_simply(bars):
    close = bars["close"]
    fast, slow = close.rolling(12).mean(), close.rolling(26).mean()
    ppo = compute_indicators(bars)["PPO"]
    np.testing.assert_allclose(ppo, (fast - slow) / slow * 100, rtol=1e-6, atol=1e-9)


def test_matching_the_provider_floors_summed_volume_and_rounds(bars):
    matched = compute_indicators(bars, match_provider=True)
    close, volume = bars["close"].to_numpy(), bars["volume"].to_numpy()
    np.testing.assert_array_equal(matched["OBV"], talib.OBV(close, np.floor(volume)))
    np.testing.assert_array_equal(matched["OBV"] % 1, 0)
    pd.testing.assert_frame_equal(matched, matched.round(4))
    own = compute_indicators(bars)
    assert (own["OBV"] % 1 != 0).all()
    pd.testing.assert_series_equal(matched["7_day_MFI"], own["7_day_MFI"].round(4))


def smoothed(series: pd.Series, days: int) -> pd.Series:
    return series.ewm(span=days, adjust=False).mean()


def wilder(series: pd.Series) -> pd.Series:
    return series.ewm(alpha=1 / 7, adjust=False).mean()


def textbook(bars: pd.DataFrame) -> dict[str, pd.Series]:
    """Every indicator from its definition, over seven days where it has a period."""
    high, low, close, volume = (bars[name] for name in ("high", "low", "close", "volume"))
    lowest, highest = low.rolling(5).min(), high.rolling(5).max()
    slow_k = (100 * (close - lowest) / (highest - lowest)).rolling(3).mean()
    middle, deviation = close.rolling(7).mean(), close.rolling(7).std(ddof=0)
    macd, change = smoothed(close, 12) - smoothed(close, 26), close.diff()
    gain, loss = wilder(change.clip(lower=0)), wilder(-change.clip(upper=0))
    rise, fall = high.diff(), -low.diff()
    up = wilder(rise.where((rise > fall) & (rise > 0), 0.0))
    down = wilder(fall.where((fall > rise) & (fall > 0), 0.0))
    dx = 100 * (up - down).abs() / (up + down)
    typical = (high + low + close) / 3
    inflow = (typical * volume).where(typical.diff() > 0, 0.0).rolling(7).sum()
    outflow = (typical * volume).where(typical.diff() < 0, 0.0).rolling(7).sum()
    thrice = smoothed(smoothed(smoothed(close, 7), 7), 7)
    return {
        "AroonUp": high.rolling(8).apply(np.argmax, raw=True) / 7 * 100,
        "AroonDown": low.rolling(8).apply(np.argmin, raw=True) / 7 * 100,
        "SlowK": slow_k,
        "SlowD": slow_k.rolling(3).mean(),
        "Real_Upper_Band": middle + 2 * deviation,
        "Real_Lower_Band": middle - 2 * deviation,
        "MACD": macd,
        "MACD_Signal": smoothed(macd, 9),
        "MACD_Hist": macd - smoothed(macd, 9),
        "7_day_RSI": 100 * gain / (gain + loss),
        "7_day_DX": dx,
        "7_day_ADX": wilder(dx),
        "7_day_MFI": 100 * inflow / (inflow + outflow),
        "TRIX": 100 * thrice.pct_change(),
        "OBV": (np.sign(change).fillna(1.0) * volume).cumsum(),
        "Chaikin A/D": ((2 * close - low - high) / (high - low) * volume).cumsum(),
    }


def test_each_indicator_is_what_its_definition_says(bars):
    """Once the start of a recursive one no longer counts."""
    indicators = compute_indicators(bars).tail(100)
    for name, expected in textbook(bars).items():
        np.testing.assert_allclose(
            indicators[name], expected.tail(100), rtol=1e-6, atol=1e-8, err_msg=name
        )


@pytest.mark.parametrize(
    "name",
    ["MACD", "7_day_RSI", "TRIX", "PPO", "Real_Upper_Band", "Real_Lower_Band", "10_day_SMA"],
)
def test_the_series_type_is_what_stands_for_the_close(bars, name):
    opened = compute_indicators(bars, series_type="open")[name]
    expected = compute_indicators(bars.assign(close=bars["open"]))[name]
    pd.testing.assert_series_equal(opened, expected)
    assert not opened.equals(compute_indicators(bars)[name])
