"""The 19 features: their names, order and formulas, and the rows that have none."""

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.features import (
    assemble_features,
    build_features,
    feature_names,
    require_rows,
)
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.errors import InvalidFeatures

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
    flow = (now["Chaikin A/D"] / before["Chaikin A/D"] - 1) * 100
    assert row["AD_pct_change"] == pytest.approx(flow)
    for short, long in ((2, 10), (2, 20), (10, 20)):
        expected = (now[f"{short}_day_SMA"] / now[f"{long}_day_SMA"] - 1) * 100
        assert row[f"{short}_day_SMA_{long}_day_SMA_pct_diff"] == pytest.approx(expected)


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


@pytest.mark.parametrize(
    ("kept", "cause"),
    [
        (slice(None, None, 15), "days are missing less than 20 days before every bar"),
        (slice(0, 30), "can be computed on no day .rows dropped: 30 by missing_value"),
    ],
)
def test_where_no_row_is_left_the_cause_is_said(bars, kept, cause):
    with pytest.raises(InvalidFeatures, match=cause):
        require_rows(assemble_features(compute_indicators(bars.iloc[kept])), "ABC")


def test_rows_after_each_of_two_gaps_are_dropped(bars):
    first, second = bars.index[200], bars.index[300]
    built = assemble_features(compute_indicators(bars.drop([first, second])))
    assert built.dropped["after_gap"] == 38
    for gap in (first, second):
        assert gap + pd.Timedelta(days=19) not in built.features.index
        assert gap + pd.Timedelta(days=20) in built.features.index


@pytest.mark.parametrize("obv", [0.0, 1e-100])
def test_missing_and_infinite_rows_are_counted_apart(market, obv):
    """Infinite is what half of the candidates cannot read: a change of 1e100, too."""
    indicators = market.indicators.copy()
    indicators.iloc[150, indicators.columns.get_loc("OBV")] = obv
    before = assemble_features(market.indicators).dropped
    after = assemble_features(indicators).dropped
    assert before["missing_value"] > 0
    assert after["infinite_value"] == before["infinite_value"] + 1
    assert after["missing_value"] == before["missing_value"]
