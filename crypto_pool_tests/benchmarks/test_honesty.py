"""The short form of `python -m benchmarks honesty`, and what it takes a short way to."""

import numpy as np
import pandas as pd

from benchmarks import honesty
from benchmarks._reviews import condemned
from benchmarks._walks import BEFORE, DAILY_VOLATILITY, HORIZON, walks
from crypto_pool.domain.labels import label_target
from crypto_pool.domain.members import Trend
from crypto_pool.domain.reference import random_walk_probability
from crypto_pool.domain.review import ReviewRules, review_champion

NOBODY = pd.DataFrame()


def record(excess: np.ndarray) -> pd.DataFrame:
    """Live rows whose Brier loss exceeds the reference's by so much on each day."""
    return pd.DataFrame(
        {
            "prediction_date": pd.date_range("2021-01-01", periods=len(excess)),
            "status": "active",
            "signal": False,
            "outcome": 0.0,
            "probability": np.sqrt(4.0 + excess),
            "reference_probability": 2.0,  # only the difference counts
        }
    )


def test_one_look_at_all_lives_condemns_whom_the_review_condemns():
    random, rules = np.random.default_rng(3), ReviewRules()
    means = np.array([-0.05, 0.0, 0.03, 0.06, 0.1, 0.2])
    lives = means[:, None] + random.normal(0, 0.08, (6, 187))
    actions = [review_champion(record(life), NOBODY, rules).action for life in lives]
    expected = [action == "quarantine" for action in actions]
    assert condemned(lives, rules).tolist() == expected
    assert 1 < sum(expected) < 6
    assert not condemned(lives[:, :99], rules).any()  # fewer than five blocks


def test_what_is_promised_and_decided_lies_within_its_limits(capsys):
    """Few members only: a figure far from its limit fails, one that is near does not."""
    found = honesty.figures(members=30, pairs=60, lives=100)
    printed = capsys.readouterr().out
    assert "MISSED" not in printed
    for name in honesty.WITHIN:
        assert any(figure.startswith(name) for figure in found), name


def test_walks_made_together_are_those_of_the_pool_s_own_reference_and_label():
    close_to = np.random.default_rng(5)
    [member] = walks(np.random.default_rng(5), 40)
    moves = close_to.normal(0, DAILY_VOLATILITY, BEFORE + 40 + HORIZON)
    close = 100 * np.exp(np.cumsum(moves))
    index = pd.date_range("2020-01-01", periods=len(close))
    bars = pd.DataFrame({name: close for name in ("open", "high", "low", "close")}, index=index)
    reference = random_walk_probability(bars, Trend.UPTREND)[member.index]
    np.testing.assert_allclose(member.reference, reference)
    np.testing.assert_array_equal(member.label, label_target(bars, Trend.UPTREND)[member.index])
