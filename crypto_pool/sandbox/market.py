"""A synthetic market whose past never changes and whose predictability is known.

Every coin follows a common market factor and a shock of its own, both with
volatility clustering (GARCH) and fat tails (Student t); the market's volatility
also switches between regimes (a Markov chain). On top of that a known drift is
planted: the expected log return of the next day is

    predictability * (conditional volatility of that day) * signal

where the signal is a bounded momentum of the coin's own past returns, and `trending_share` of
all coins have it: so candidates find something in these coins and nothing in the others, while
the volatility, which the panel forecasts, changes in all of them. Days are
simulated one after another from streams that are read in order, so a longer
history starts with exactly the shorter one.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial

import numpy as np
import pandas as pd

from crypto_pool.errors import InvalidBars, InvalidSetting

GENERATOR_VERSION = 1
"""Raised whenever the same settings would give other bars."""

_REGIME_VOLATILITY = (0.012, 0.022, 0.042)
_REGIME_LEAVE_PROBABILITY = 0.015
_TAIL_DEGREES_OF_FREEDOM = 5
_GARCH_ALPHA = 0.08
_GARCH_BETA = 0.90
_LARGEST_SHOCK = 8.0
_RANDOM_WALK_VOLATILITY = 0.04
_MOMENTUM_DAYS = 10
_BASELINE_DAYS = 60
_DECIMALS = 8
_SMALLEST_PRICE = 10.0**-_DECIMALS


@dataclass(frozen=True)
class SyntheticMarket:
    """Correlated synthetic coins, from `epoch` on; equal settings give equal bars.

    `predictability` is the planted drift in units of the day's volatility, 0 to 1; about
    `trending_share` of the coins have it, always the same ones.
    `constant_volatility` replaces factor, clusters and tails by independent Gaussian returns
    about the drift; so does `random_walk`, and without drift. The drift follows the momentum of
    `delay_days` ago: from the horizon on, moves are as large as their daily returns say.
    """

    seed: int = 7
    predictability: float = 0.15
    random_walk: bool = False
    epoch: date = date(2020, 1, 1)
    trending_share: float = 1.0
    constant_volatility: bool = False
    delay_days: int = 0

    def __post_init__(self) -> None:
        """Refuse a predictability that is no share of the volatility."""
        if not 0.0 <= self.predictability <= 1.0:
            raise InvalidSetting(
                f"predictability is {self.predictability}; it must lie between 0 and 1"
            )

    def planted_drift(self, symbol: str) -> float:
        """Return the drift planted in a coin, in units of the day's volatility; 0 in some."""
        trends = _stream(self.seed, symbol, 8).random() < self.trending_share
        return self.predictability if trends and not self.random_walk else 0.0

    def bars(self, symbol: str, through: date) -> pd.DataFrame:
        """Daily bars from the epoch through `through`, both included."""
        table = _simulate_coin(self, symbol, self._count_days(symbol, through))
        return pd.DataFrame(
            table[:, :5].copy(),
            index=self._dates(len(table)),
            columns=["open", "high", "low", "close", "volume"],
        )

    def planted_signal(self, symbol: str, through: date) -> pd.Series:
        """Momentum in (-1, 1) known at each day's close; it drives the next day's drift.

        With `random_walk` it is computed the same way and drives nothing.
        """
        table = _simulate_coin(self, symbol, self._count_days(symbol, through))
        return pd.Series(table[:, 5].copy(), index=self._dates(len(table)), name="planted_signal")

    def _count_days(self, symbol: str, through: date) -> int:
        days = (through - self.epoch).days + 1
        if days < 1:
            raise InvalidBars(
                f"{symbol}: the synthetic market starts on {self.epoch}, so it has no bars "
                f"through {through}; ask for a later date or set an earlier epoch"
            )
        return days

    def _dates(self, days: int) -> pd.DatetimeIndex:
        dates = pd.date_range(self.epoch, periods=days, freq="D")
        return pd.DatetimeIndex(dates.to_numpy(), name="date")  # without a frequency, like files


def _stream(seed: int, name: str, number: int) -> np.random.Generator:
    """Return one of the independent random streams of a name, to be read strictly in order."""
    entropy = [seed % 2**32, zlib.crc32(name.encode()), number]
    return np.random.Generator(np.random.PCG64(entropy))


def _fat_tailed(stream: np.random.Generator, count: int) -> list[float]:
    """Draw from Student's t, scaled to unit variance."""
    degrees = _TAIL_DEGREES_OF_FREEDOM
    scale = math.sqrt((degrees - 2) / degrees)
    return [scale * draw for draw in stream.standard_t(degrees, count).tolist()]


def _cluster(draws: list[float]) -> tuple[list[float], list[float]]:
    """Return GARCH(1,1) volatilities of unit mean square and the shocks scaled by them."""
    variance, volatilities, shocks = 1.0, [], []
    for draw in draws:
        volatility = math.sqrt(variance)
        shock = max(-_LARGEST_SHOCK, min(_LARGEST_SHOCK, volatility * draw))
        volatilities.append(volatility)
        shocks.append(shock)
        variance = (
            1.0 - _GARCH_ALPHA - _GARCH_BETA + _GARCH_ALPHA * shock**2 + _GARCH_BETA * variance
        )
    return volatilities, shocks


@lru_cache(maxsize=16)
def _simulate_market_factor(seed: int, days: int) -> tuple[list[float], list[float]]:
    """Return the common factor's conditional volatilities and returns."""
    stream = partial(_stream, seed, "/market factor")
    volatilities, shocks = _cluster(_fat_tailed(stream(0), days))
    regime, levels = 1, []
    leaves, choices = (stream(number).random(days).tolist() for number in (1, 2))
    for leave, choice in zip(leaves, choices, strict=True):
        if leave < _REGIME_LEAVE_PROBABILITY:
            regime = (regime + (1 if choice < 0.5 else 2)) % len(_REGIME_VOLATILITY)
        levels.append(_REGIME_VOLATILITY[regime])
    return (
        [level * volatility for level, volatility in zip(levels, volatilities, strict=True)],
        [level * shock for level, shock in zip(levels, shocks, strict=True)],
    )


def _simulate_returns(
    market: SyntheticMarket, stream: Callable[[int], np.random.Generator], days: int
) -> tuple[list[float], list[float]]:
    """Return a coin's conditional volatilities and its returns before any drift."""
    if market.random_walk or market.constant_volatility:
        volatility = _RANDOM_WALK_VOLATILITY
        draws = stream(0).standard_normal(days).tolist()
        return [volatility] * days, [volatility * draw for draw in draws]
    exposure = 0.7 + 0.6 * stream(1).random()
    own_level = 0.015 + 0.020 * stream(2).random()
    market_volatilities, market_returns = _simulate_market_factor(market.seed, days)
    own_volatilities, own_shocks = _cluster(_fat_tailed(stream(0), days))
    volatilities = [
        math.sqrt((exposure * common) ** 2 + (own_level * own) ** 2)
        for common, own in zip(market_volatilities, own_volatilities, strict=True)
    ]
    returns = [
        exposure * common + own_level * own
        for common, own in zip(market_returns, own_shocks, strict=True)
    ]
    return volatilities, returns


def _momentum(standardised_returns: list[float]) -> float:
    """Bounded recent momentum over the longer mean, so that no trend feeds itself for ever."""
    recent = sum(standardised_returns[-_MOMENTUM_DAYS:])
    baseline = sum(standardised_returns[-_BASELINE_DAYS:]) * _MOMENTUM_DAYS / _BASELINE_DAYS
    return math.tanh((recent - baseline) / math.sqrt(_MOMENTUM_DAYS))


@lru_cache(maxsize=64)
def _simulate_coin(market: SyntheticMarket, symbol: str, days: int) -> np.ndarray:
    """One row a day: open, high, low, close, volume, planted signal.

    Scalar arithmetic only: vectorised functions may round the tail of an array
    differently, and then a longer history would not begin with the shorter one.
    """
    stream = partial(_stream, market.seed, symbol)
    volatilities, returns = _simulate_returns(market, stream, days)
    strength = market.planted_drift(symbol)
    above, below, volume_noise = (
        stream(number).standard_normal(days).tolist() for number in (3, 4, 5)
    )
    log_price = math.log(10.0) * 4.0 * stream(6).random()
    usd_volume = 10.0 ** (7.0 + 2.0 * stream(7).random())
    opened, signal, activity = round(math.exp(log_price), _DECIMALS), 0.0, 0.0
    standardised: list[float] = []
    rows = []
    for day, volatility in enumerate(volatilities):
        change = returns[day] + strength * volatility * signal
        log_price += change
        closed = _round_price(math.exp(log_price))
        spread = 0.5 * volatility
        high = _round_price(max(opened, closed) * math.exp(spread * abs(above[day])))
        low = _round_price(min(opened, closed) * math.exp(-spread * abs(below[day])))
        standardised.append(change / volatility)
        signal = _momentum(standardised[: max(0, len(standardised) - market.delay_days)])
        activity = 0.8 * activity + 0.2 * volume_noise[day] + 0.15 * abs(standardised[-1])
        traded = usd_volume * math.exp(activity) * volatility / _RANDOM_WALK_VOLATILITY
        volume = round(traded / closed, _DECIMALS)
        rows.append((opened, high, low, closed, volume, signal))
        opened = closed
    table = np.array(rows, dtype=float)
    table.setflags(write=False)
    return table


def _round_price(price: float) -> float:
    return max(_SMALLEST_PRICE, round(price, _DECIMALS))
