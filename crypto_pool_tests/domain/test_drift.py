"""How far a row lies outside what a version was trained on."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.drift import Distance, InputSpan, abstention_reason, per_price, shock_sigmas
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.sandbox.market import SyntheticMarket

TRAINING = pd.DataFrame(
    {"RSI": np.linspace(0, 100, 1001), "PPO": np.linspace(-1, 1, 1001), "flat": 5.0}
)
SPAN = InputSpan.of(TRAINING)
INSIDE = pd.Series({"RSI": 50.0, "PPO": 0.5, "flat": 5.0})


def test_a_row_inside_is_at_no_distance():
    assert SPAN.distance(INSIDE).ood_distance == 0.0
    assert SPAN.distance(INSIDE).feature == ""


def test_the_furthest_feature_counts_in_widths_of_its_own_span():
    found = SPAN.distance(pd.Series({"flat": 5.0, "PPO": 0.99 + 1.98, "RSI": -1.0}))
    assert found.ood_distance == pytest.approx(1.0)
    assert found.feature == "PPO"


def test_another_value_of_what_was_constant_is_infinitely_far():
    found = SPAN.distance(INSIDE.replace(5.0, 5.1))
    assert (found.ood_distance, found.feature) == (np.inf, "flat")


def test_the_share_outside_is_small_without_drift_and_large_with_it():
    assert SPAN.share_outside(TRAINING)["RSI"] == pytest.approx(0.01, abs=0.002)
    assert SPAN.share_outside(TRAINING + 200)["RSI"] == 1.0


def test_inputs_in_price_units_are_no_further_away_when_the_price_has_grown():
    """The same market at a price that grows hundredfold has the same inputs."""
    bars = SyntheticMarket(seed=3).bars("BTC", date(2023, 5, 31)).tail(800)
    prices = [name for name in bars.columns if name != "volume"]
    grown = bars.copy()
    grown.iloc[600:, [bars.columns.get_loc(name) for name in prices]] *= 100
    features = build_features(compute_indicators(bars))
    late = build_features(compute_indicators(grown.iloc[600:]))
    span = InputSpan.of(per_price(features.iloc[:500], bars["close"]))
    plain = InputSpan.of(features.iloc[:500])
    row = late.iloc[[-1]]
    assert plain.distance(row.iloc[0]).ood_distance > 2
    assert span.distance(per_price(row, grown["close"]).iloc[0]).ood_distance < 2


@pytest.mark.parametrize(("sigmas", "abstains"), [(9.9, False), (10.1, True), (-10.1, True)])
def test_a_shock_of_ten_sigmas_abstains_whatever_the_inputs(sigmas, abstains):
    returns = np.random.default_rng(3).normal(0, 0.03, 90)
    returns[-1] = sigmas * returns[-61:-1].std(ddof=1)
    closes = pd.Series(np.exp(returns.cumsum()))
    assert shock_sigmas(closes) == pytest.approx(abs(sigmas))
    reason = abstention_reason(Distance(0.0, ""), shock_sigmas(closes), None)
    assert bool(reason) == abstains
    assert "daily sigmas" in reason or not abstains
    assert abstention_reason(Distance(3.0, "PPO"), 0.0, 2.0)
    assert abstention_reason(Distance(2.0, "PPO"), 0.0, 2.0) == ""
    assert abstention_reason(Distance(1.0, "PPO"), 0.0, 2.0) == ""
    assert abstention_reason(Distance(0.0, ""), 10.0, None)
    assert shock_sigmas(closes.tail(62)) == pytest.approx(abs(sigmas))
    assert shock_sigmas(closes.tail(61)) == 0.0  # too few to say
    assert shock_sigmas(pd.Series(1.0, range(90))) == 0.0
