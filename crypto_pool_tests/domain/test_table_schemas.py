"""What must not be trained on is refused by name."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.drift import unseen_share
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.table_schemas import check_features
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


@pytest.mark.parametrize("distance", [0.0, -200.5])
def test_a_distance_of_bands_around_a_positive_mean_is_sane(distance):
    features = FEATURES.copy()
    features.loc[features.index[5], "BBANDS_distance_pct"] = distance
    check_features(features, "BTC")


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
