import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.drift import InputSpan

TRAINING = pd.DataFrame(
    {"RSI": np.linspace(0, 100, 1001), "PPO": np.linspace(-1, 1, 1001), "flat": 5.0}
)
SPAN = InputSpan.of(TRAINING)
INSIDE = pd.Series({"RSI": 50.0, "PPO": 0.5, "flat": 5.0})


def test_a_row_inside_is_at_no_distance():
    assert SPAN.distance(INSIDE).widths == 0.0
    assert SPAN.distance(INSIDE).feature == ""


def test_the_furthest_feature_counts_in_widths_of_its_own_span():
    found = SPAN.distance(pd.Series({"flat": 5.0, "PPO": 0.99 + 1.98, "RSI": -1.0}))
    assert found.widths == pytest.approx(1.0)
    assert found.feature == "PPO"


def test_another_value_of_what_was_constant_is_infinitely_far():
    found = SPAN.distance(INSIDE.replace(5.0, 5.1))
    assert (found.widths, found.feature) == (np.inf, "flat")


def test_the_share_outside_is_small_without_drift_and_large_with_it():
    assert SPAN.share_outside(TRAINING)["RSI"] == pytest.approx(0.01, abs=0.002)
    assert SPAN.share_outside(TRAINING + 200)["RSI"] == 1.0
