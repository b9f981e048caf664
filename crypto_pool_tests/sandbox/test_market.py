"""The synthetic market: a fixed past, planted predictability, and how it looks."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from crypto_pool.errors import InvalidBars, InvalidSetting
from crypto_pool.sandbox.market import SyntheticMarket

THROUGH = date(2026, 11, 23)
COINS = ("BTC", "ETH", "SOL", "ADA", "XRP", "LINK")
REFERENCE_CLOSES = [375.48503368, 364.00753923, 369.52233544]


def log_returns(market: SyntheticMarket, symbol: str) -> pd.Series:
    """Daily log returns of the closes."""
    return np.log(market.bars(symbol, THROUGH)["close"]).diff().dropna()


def predictability_measured(market: SyntheticMarket) -> float:
    """Mean correlation of the planted signal with the next day's return."""
    correlations = [
        market.planted_signal(symbol, THROUGH).shift(1).corr(log_returns(market, symbol))
        for symbol in COINS
    ]
    return float(np.mean(correlations))


@pytest.mark.parametrize("random_walk", [False, True])
def test_past_is_unchanged_from_one_day_to_the_next(random_walk: bool) -> None:
    """Tomorrow returns the same past plus one bar, to the last bit, on any day."""
    market = SyntheticMarket(random_walk=random_walk)
    longest = market.bars("BTC", THROUGH)
    signal = market.planted_signal("BTC", THROUGH)
    for days_back in (*range(1, 20), 63, 64, 65, 1000, 2500):
        through = THROUGH - timedelta(days=days_back)
        shorter = market.bars("BTC", through)
        assert len(shorter) == len(longest) - days_back
        pd.testing.assert_frame_equal(shorter, longest.iloc[:-days_back], check_exact=True)
        pd.testing.assert_series_equal(
            market.planted_signal("BTC", through), signal.iloc[:-days_back], check_exact=True
        )


def test_equal_settings_give_equal_bars_whatever_was_asked_before() -> None:
    """A coin's bars do not depend on other coins; another seed gives others."""
    SyntheticMarket(seed=3).bars("ETH", THROUGH)
    bars = SyntheticMarket(seed=3).bars("BTC", THROUGH)
    bars["close"] = 0.0
    again = SyntheticMarket(seed=3).bars("BTC", THROUGH)
    assert (again["close"] > 0).all()
    assert not again.equals(SyntheticMarket(seed=4).bars("BTC", THROUGH))


def test_bars_are_a_stable_reference() -> None:
    """A change of the generator shows here; it must raise GENERATOR_VERSION."""
    bars = SyntheticMarket().bars("BTC", date(2020, 1, 3))
    assert bars["close"].tolist() == pytest.approx(REFERENCE_CLOSES, rel=1e-9)


@pytest.mark.parametrize("market", [SyntheticMarket(), SyntheticMarket(random_walk=True)])
def test_bars_are_sane(market: SyntheticMarket) -> None:
    """Every day once, finite, high and low around open and close, some volume."""
    for symbol in COINS:
        bars = market.bars(symbol, THROUGH)
        assert list(bars.columns) == ["open", "high", "low", "close", "volume"]
        assert set(bars.dtypes) == {np.dtype(float)}
        assert bars.index.name == "date"
        assert bars.index.tz is None
        assert bars.index.equals(pd.date_range("2020-01-01", THROUGH, name="date"))
        assert np.isfinite(bars.to_numpy()).all()
        assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
        assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
        assert (bars[["low", "volume"]] > 0).all(axis=None)
        prices = bars[["open", "high", "low", "close"]]
        assert prices.equals(prices.apply(lambda column: column.map(lambda p: round(p, 8))))


def test_planted_predictability_is_measured() -> None:
    """The signal foretells the next return as strongly as it was planted, and not otherwise."""
    none = predictability_measured(SyntheticMarket(random_walk=True))
    off = predictability_measured(SyntheticMarket(predictability=0.0))
    default = predictability_measured(SyntheticMarket())
    strong = predictability_measured(SyntheticMarket(predictability=0.5))
    assert abs(none) < 0.025
    assert abs(off) < 0.05
    assert 0.06 < default < 0.15
    assert default > none + 0.05
    assert 0.25 < strong < 0.5


def test_planted_drift_is_what_it_says() -> None:
    """Slope of return over volatility on the signal: the setting itself."""
    market, baseline = SyntheticMarket(predictability=0.4), SyntheticMarket(predictability=0.0)
    extra = log_returns(market, "BTC") - log_returns(baseline, "BTC")
    signal = market.planted_signal("BTC", THROUGH).shift(1).iloc[1:]
    volatility = extra / (0.4 * signal)
    assert (volatility[signal.abs() > 0.01] > 0).all()
    assert 0.01 < volatility[signal.abs() > 0.01].median() < 0.08


def test_only_some_coins_have_the_planted_drift() -> None:
    """Of a market where a share of them trends, always the same ones."""
    market = SyntheticMarket(predictability=0.6, trending_share=0.3)
    with_drift = {symbol for symbol in COINS if market.planted_drift(symbol)}
    assert with_drift == {"BTC", "ETH", "ADA"}
    everywhere, nowhere = SyntheticMarket(predictability=0.6), SyntheticMarket(predictability=0.0)
    for symbol in COINS:
        same = everywhere if symbol in with_drift else nowhere
        pd.testing.assert_frame_equal(market.bars(symbol, THROUGH), same.bars(symbol, THROUGH))


def test_random_walk_has_no_structure() -> None:
    """Gaussian, of constant volatility, independent over time and between coins."""
    market = SyntheticMarket(random_walk=True)
    returns = pd.DataFrame({symbol: log_returns(market, symbol) for symbol in COINS})
    assert (returns.kurt().abs() < 0.4).all()
    assert (returns.std().sub(0.04).abs() < 0.002).all()
    assert returns.apply(lambda column: abs(column.autocorr(1))).max() < 0.06
    assert returns.abs().apply(lambda column: abs(column.autocorr(1))).max() < 0.06
    off_diagonal = returns.corr().to_numpy()[~np.eye(len(COINS), dtype=bool)]
    assert abs(off_diagonal).max() < 0.08


def test_default_market_has_fat_tails_clusters_and_correlation() -> None:
    """What is known of coins holds for these."""
    market = SyntheticMarket()
    returns = pd.DataFrame({symbol: log_returns(market, symbol) for symbol in COINS})
    assert (returns.kurt() > 2).all()
    assert returns.abs().apply(lambda column: column.autocorr(5)).min() > 0.05
    off_diagonal = returns.corr().to_numpy()[~np.eye(len(COINS), dtype=bool)]
    assert off_diagonal.min() > 0.25
    activity = np.log(market.bars("BTC", THROUGH)["volume"] * market.bars("BTC", THROUGH)["close"])
    assert activity.iloc[1:].corr(returns["BTC"].abs()) > 0.2


def test_faulty_requests_are_refused() -> None:
    """Before the epoch there is nothing, and no drift exceeds the volatility."""
    with pytest.raises(InvalidBars, match="starts on 2020-01-01"):
        SyntheticMarket().bars("BTC", date(2019, 12, 31))
    with pytest.raises(InvalidSetting, match=r"predictability is 1\.5"):
        SyntheticMarket(predictability=1.5)
