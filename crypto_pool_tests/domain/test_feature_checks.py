"""What must not be trained on is refused by name."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.drift import unseen_share
from crypto_pool.domain.feature_checks import check_features
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.errors import InvalidFeatures
from crypto_pool.sandbox.market import SyntheticMarket

BARS = SyntheticMarket().bars("BTC", date(2021, 12, 31))
FEATURES = build_features(compute_indicators(BARS))


PERCENTAGES = (
    "AroonDown", "AroonUp", "SlowK", "SlowD", "7_day_ADX", "7_day_RSI", "7_day_MFI", "7_day_DX",
)  # fmt: skip


def test_good_features_pass():
    check_features(FEATURES, "BTC")


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        *((name, 101.0, f"{name} fails in_range") for name in PERCENTAGES),
        ("SlowK", -1.0, "SlowK fails in_range"),
        ("BBANDS_distance_pct", -5.0, "BBANDS_distance_pct fails around_a_positive_mean"),
        ("BBANDS_distance_pct", -199.0, "BBANDS_distance_pct fails around_a_positive_mean"),
        ("PPO", np.inf, "finite values"),
        ("MACD", np.nan, "MACD fails not_nullable"),
    ],
)
def test_each_feature_outside_its_definition_is_refused_by_day(column, value, named):
    spoilt = FEATURES.copy()
    spoilt.loc[spoilt.index[5], column] = value
    with pytest.raises(InvalidFeatures, match=named):
        check_features(spoilt, "BTC")


def test_a_price_that_soared_has_sane_features_below_a_negative_band():
    soared = BARS.copy()
    prices = ["open", "high", "low", "close"]
    soared.loc[soared.index[-5] :, prices] *= 8
    # It soars within the day, from an open as of old: an open beyond three times is a level break.
    soared.loc[soared.index[-5], ["open", "low"]] = BARS.loc[BARS.index[-5], ["open", "low"]]
    features = build_features(compute_indicators(soared))
    assert features["BBANDS_distance_pct"].min() < -200
    check_features(features, "BTC")


@pytest.mark.parametrize("distance", [0.0, -5e-7, -200.0, -200.5])
def test_a_distance_of_bands_around_a_positive_mean_is_sane(distance):
    features = FEATURES.copy()
    features.loc[features.index[5], "BBANDS_distance_pct"] = distance
    check_features(features, "BTC")


@pytest.mark.parametrize(("value", "sane"), [(0.0, True), (100.0, True), (-2e-6, False)])
@pytest.mark.parametrize("sums", [0.0, 5e-7])
def test_a_percentage_may_be_beyond_its_bound_by_what_sums_are_rounded_by(value, sums, sane):
    features = FEATURES.copy()
    features.loc[features.index[5], "SlowK"] = value + (sums if value else -sums)
    if sane:
        check_features(features, "BTC")
    for far in (value + 3e-6,) if value == 100 else (value - 3e-6,):
        features.loc[features.index[5], "SlowK"] = far
        with pytest.raises(InvalidFeatures, match="SlowK fails in_range"):
            check_features(features, "BTC")


@pytest.mark.parametrize(
    ("days", "named"),
    [
        (FEATURES.index[::-1], "ascending days"),
        (FEATURES.index + pd.Timedelta(hours=1), "whole days"),
        (FEATURES.index[[0, *range(len(FEATURES) - 1)]], "unique"),
    ],
    ids=["descending", "of hours", "twice"],
)
def test_days_that_are_none_or_in_no_order_are_refused(days, named):
    with pytest.raises(InvalidFeatures, match=named):
        check_features(FEATURES.set_axis(days), "BTC")


def test_days_in_another_unit_of_time_are_days():
    check_features(FEATURES.set_axis(FEATURES.index.as_unit("us")), "BTC")


def test_three_faults_and_three_days_of_each_are_named():
    spoilt = FEATURES.copy()
    spoilt.iloc[5:9, [spoilt.columns.get_loc(name) for name in PERCENTAGES[:4]]] = 101.0
    with pytest.raises(InvalidFeatures) as refused:
        check_features(spoilt, "BTC")
    told = str(refused.value)
    assert told.count(" fails in_range") == 3
    assert told.count("(4 values)") == 3
    assert told.count(f"{FEATURES.index[7]:%Y-%m-%d}") == 3
    assert f"{FEATURES.index[8]:%Y-%m-%d}" not in told


@pytest.mark.parametrize(
    ("spoilt", "named"),
    [
        (FEATURES.drop(columns="PPO"), "PPO"),
        (FEATURES.assign(extra=1.0), "extra"),
        (FEATURES[FEATURES.columns[::-1]], "column_ordered"),
    ],
    ids=["missing", "extra", "another order"],
)
def test_other_columns_than_the_features_are_refused(spoilt, named):
    with pytest.raises(InvalidFeatures, match=f"BTC: .*{named}"):
        check_features(spoilt, "BTC")


def test_features_beyond_anything_seen_are_drift():
    moved = FEATURES.copy()
    moved.iloc[-30:, moved.columns.get_loc("PPO")] += 100
    shares = unseen_share(moved)
    assert shares["PPO"] == 1.0
    pd.testing.assert_series_equal(shares.drop("PPO"), unseen_share(FEATURES).drop("PPO"))
    assert unseen_share(FEATURES.head(229)).empty
    assert not unseen_share(FEATURES.head(230)).empty
