import numpy as np
import pandas as pd
import pytest
import talib

from crypto_pool.domain.features import assemble_features, build_features, feature_names
from crypto_pool.domain.indicators import compute_indicators

INDICATOR_COLUMNS = [
    "7_day_ADX", "AroonDown", "AroonUp", "MACD", "MACD_Signal", "MACD_Hist", "7_day_RSI",
    "SlowK", "SlowD", "7_day_MFI", "7_day_DX", "TRIX", "PPO", "OBV", "Chaikin A/D",
    "Real_Upper_Band", "Real_Lower_Band", "2_day_SMA", "10_day_SMA", "20_day_SMA",
]  # fmt: skip
FEATURES = [
    "7_day_ADX",
    "AroonDown",
    "AroonUp",
    "MACD",
    "MACD_Signal",
    "MACD_Hist",
    "7_day_RSI",
    "SlowK",
    "SlowD",
    "7_day_MFI",
    "7_day_DX",
    "7_day_TRIX",
    "PPO",
    "OBV_pct_change",
    "AD_pct_change",
    "BBANDS_distance_pct",
    "2_day_SMA_10_day_SMA_pct_diff",
    "2_day_SMA_20_day_SMA_pct_diff",
    "10_day_SMA_20_day_SMA_pct_diff",
]


def test_indicator_names_are_the_contract_and_the_index_is_kept(bars):
    indicators = compute_indicators(bars)
    assert set(indicators.columns) == set(INDICATOR_COLUMNS)
    assert indicators.index.equals(bars.index)
    assert indicators.iloc[0].isna().any()
    assert "14_day_RSI" in compute_indicators(bars, time_period=14)


def test_averages_follow_the_series_type(bars):
    opened = compute_indicators(bars, series_type="open")
    expected = bars["open"].rolling(10).mean()
    np.testing.assert_allclose(opened["10_day_SMA"], expected, rtol=1e-9)


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


def test_features_have_their_names_order_and_formulas(market):
    features = build_features(market.indicators)
    assert list(features.columns) == FEATURES == list(feature_names())
    assert np.isfinite(features.to_numpy()).all()
    day = features.index[50]
    now, before = market.indicators.loc[day], market.indicators.loc[day - pd.Timedelta(days=1)]
    row = features.loc[day]
    assert row["7_day_TRIX"] == pytest.approx(now["TRIX"] * 100)
    assert row["OBV_pct_change"] == pytest.approx((now["OBV"] / before["OBV"] - 1) * 100)
    band = (now["Real_Upper_Band"] - now["Real_Lower_Band"]) / now["Real_Lower_Band"] * 100
    assert row["BBANDS_distance_pct"] == pytest.approx(band)
    assert row["2_day_SMA_20_day_SMA_pct_diff"] == pytest.approx(
        (now["2_day_SMA"] / now["20_day_SMA"] - 1) * 100
    )


def test_pct_change_keeps_the_sign_of_the_denominator(market):
    indicators = market.indicators.copy()
    indicators.iloc[100:102, indicators.columns.get_loc("OBV")] = [-2.0, 1.0]
    assert build_features(indicators).loc[indicators.index[101], "OBV_pct_change"] == -150.0


def test_rows_after_a_gap_are_dropped_and_counted(bars):
    missing = bars.index[200]
    built = assemble_features(compute_indicators(bars.drop(missing)))
    whole = assemble_features(compute_indicators(bars))
    assert built.dropped["after_gap"] == 19
    assert missing + pd.Timedelta(days=19) not in built.features.index
    assert missing + pd.Timedelta(days=20) in built.features.index
    assert missing - pd.Timedelta(days=1) in built.features.index
    assert whole.dropped["after_gap"] == 0
    assert sum(built.dropped.values()) + len(built.features) == len(bars) - 1


def test_missing_and_infinite_rows_are_counted_apart(market):
    indicators = market.indicators.copy()
    obv = indicators.columns.get_loc("OBV")
    indicators.iloc[150, obv] = 0.0
    before = assemble_features(market.indicators).dropped
    after = assemble_features(indicators).dropped
    assert before["missing_value"] > 0
    assert after["infinite_value"] == before["infinite_value"] + 1
    assert after["missing_value"] == before["missing_value"]
