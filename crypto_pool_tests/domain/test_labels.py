"""Labels and the random-walk reference, worked by hand; what is not known yet is unknown."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from crypto_pool.domain.labels import label_target, realised_change
from crypto_pool.domain.members import Trend
from crypto_pool.domain.panel import realised_events
from crypto_pool.domain.recipe import Target
from crypto_pool.domain.reference import logit, random_walk_probability
from crypto_pool.errors import InvalidSetting

DAY = 200


def flat_bars(close: np.ndarray) -> pd.DataFrame:
    index = pd.date_range("2021-01-01", periods=len(close), name="date")
    columns = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": 1.0}
    return pd.DataFrame(columns, index=index)


def by_hand(close: pd.Series, day: int, horizon: int = 10) -> float:
    now = close.iloc[day - 9 : day + 1].mean()
    then = close.iloc[day + horizon - 9 : day + horizon + 1].mean()
    return (then - now) / now


def test_labels_agree_with_the_definition_worked_by_hand(market):
    up = label_target(market.bars, "uptrend")
    down = label_target(market.bars, Trend.DOWNTREND)
    for day in range(9, len(market.bars) - 10):
        change = by_hand(market.bars["close"], day)
        assert up.iloc[day] == float(change >= 0.05)
        assert down.iloc[day] == float(change <= -0.05)
    assert {0.0, 1.0} == set(up.dropna()) == set(down.dropna())


def test_a_step_up_of_half_moves_the_average_by_half():
    close = np.where(np.arange(60) < 30, 100.0, 150.0)
    labels = label_target(flat_bars(close), "uptrend", Target(pct=0.2))
    assert labels.iloc[29 - 10] == 0.0  # the average at day 29 still holds no new price
    assert labels.iloc[33 - 10] == 1.0  # four of ten days at +50 % are +20 %
    assert labels.iloc[32 - 10] == 0.0
    assert labels.iloc[39] == 0.0  # both averages wholly at 150


def test_the_last_horizon_rows_and_the_warm_up_are_unknown(market):
    labels = label_target(market.bars, "uptrend", Target(horizon=12))
    assert labels.iloc[-12:].isna().all()
    assert labels.iloc[:9].isna().all()
    assert labels.iloc[9:-12].notna().all()


def test_a_missing_day_makes_exactly_the_labels_null_whose_windows_hold_it(bars):
    missing = bars.index[DAY]
    labels = label_target(bars.drop(missing), "uptrend")
    inner = labels.loc[bars.index[20] : bars.index[-20]]
    days_before = (missing - inner.index[inner.isna()]).days
    # t in [missing, missing + 9] by the first window, t + 10 in it by the second,
    # and t + 10 = missing is itself no row.
    assert set(days_before) == set(range(-9, 11)) - {0}


def test_the_reference_is_its_closed_form_by_hand(market):
    bars = market.bars
    close = bars["close"]
    up = random_walk_probability(bars, "uptrend")
    down = random_walk_probability(bars, "downtrend", Target(pct=0.08, horizon=14))
    returns = [math.log(close.iloc[i] / close.iloc[i - 1]) for i in range(DAY - 59, DAY + 1)]
    mean = sum(returns) / 60
    s = math.sqrt(sum((r - mean) ** 2 for r in returns) / 59)
    average = sum(close.iloc[DAY - 9 : DAY + 1]) / 10
    distance = math.log(close.iloc[DAY] / average)

    def phi(x: float) -> float:
        return 0.5 * (1 + math.erf(x / math.sqrt(2)))

    assert up.iloc[DAY] == pytest.approx(
        phi((distance - math.log(1.05)) / (1.962142 * s)), rel=1e-5
    )
    expected = 1 - phi((distance - math.log(0.92)) / (math.sqrt(7.85) * s))
    assert down.iloc[DAY] == pytest.approx(expected, rel=1e-9)


def test_the_reference_needs_61_closes_in_a_row(bars):
    whole = random_walk_probability(bars, "uptrend")
    assert whole.iloc[:60].isna().all()
    assert whole.iloc[60:].notna().all()
    broken = random_walk_probability(bars.drop(bars.index[DAY]), "uptrend")
    assert broken.loc[bars.index[DAY + 1] : bars.index[DAY + 60]].isna().all()
    after = broken.loc[bars.index[DAY + 61] :]
    np.testing.assert_array_equal(after, whole.loc[after.index])


def test_a_price_that_never_moves_has_no_reference():
    assert random_walk_probability(flat_bars(np.full(80, 3.3)), "uptrend").isna().all()


def test_a_horizon_below_ten_is_refused(bars):
    with pytest.raises(InvalidSetting, match="horizon 9"):
        random_walk_probability(bars, "uptrend", Target(horizon=9))


def test_logits_are_of_clipped_probabilities():
    odds = logit(pd.Series([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(odds, [-math.log(99), 0, math.log(99)])


@pytest.mark.parametrize("trend", list(Trend))
def test_forward_return_is_close_to_close(market, trend):
    close = market.bars["close"]
    change = close.shift(-10) / close - 1
    hit = change >= 0.05 if trend is Trend.UPTREND else change <= -0.05
    labels = label_target(market.bars, trend, Target("forward_return"))
    pd.testing.assert_series_equal(
        labels, hit.astype(float).where(change.notna()), check_names=False, check_freq=False
    )
    gone = market.bars.index[100]
    assert np.isnan(label_target(market.bars.drop(gone), trend, Target("forward_return")).iloc[90])
    spread = np.log(close).diff().rolling(60).std()
    ends = -np.log(1.05) if trend is Trend.UPTREND else np.log(0.95)
    expected = pd.Series(norm.cdf(ends / (np.sqrt(10) * spread)), index=close.index)
    actual = random_walk_probability(market.bars, trend, Target("forward_return"))
    pd.testing.assert_series_equal(actual, expected, check_names=False, check_freq=False)


@pytest.mark.parametrize(("later", "label"), [(106.0, 1.0), (104.0, 0.0)])
def test_a_forward_return_of_five_percent_is_the_default_target(later, label):
    bars = flat_bars(np.where(np.arange(60) < 30, 100.0, later))
    assert label_target(bars, "uptrend", Target("forward_return")).iloc[25] == label


def test_an_unknown_target_is_refused():
    with pytest.raises(InvalidSetting, match="'close'"):
        Target("close")


@pytest.mark.parametrize("trend", Trend)
@pytest.mark.parametrize("kind", ["sma_shift", "forward_return"])
@pytest.mark.parametrize("pct", [0.05, 0.1, 0.03])
@pytest.mark.parametrize("price", [100.0, 7.0, 3.0, 33.3, 0.1])
def test_a_move_of_exactly_the_target_counts_whatever_the_price(price, pct, kind, trend):
    """Sums of floats miss it in the last digits; what is truly less does not count."""
    rises = trend is Trend.UPTREND
    target = Target(kind, pct)
    for short_of_it, label in ((0.0, 1.0), (1e-9, 0.0)):
        moved = price * (1 + (1 if rises else -1) * (pct - short_of_it))
        bars = flat_bars(np.where(np.arange(60) < 30, price, moved))
        day = bars.index[29]
        assert label_target(bars, trend, target)[day] == label
        change = pd.DataFrame({"change": np.log1p(realised_change(bars, target)[[day]])})
        assert realised_events(change, target)[0 if rises else 1, 0] == label
