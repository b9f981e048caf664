"""What the panel sees of all coins at once: one row a coin and day, no look-ahead in its features.

All series lie on one calendar-day grid. A missing day is NaN there, and so is the return after
it: nothing is filled, and nothing is computed across a gap or an accepted break.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import TypeVar, cast

import numpy as np
import pandas as pd

from crypto_pool.domain.bar_validation import BAR_COLUMNS
from crypto_pool.domain.label_windows import SMA_DAYS
from crypto_pool.domain.recipe import Target
from crypto_pool.domain.reference import VOLATILITY_DAYS

Frame = TypeVar("Frame", pd.Series, pd.DataFrame)

RANGE_DAYS = (1, 3, 5, 10, 20, 60, 120, 250)
RETURN_DAYS = (3, 5, 10, 20, 60, 120)
LARGEST_DRIFT_VOLATILITY = 0.12
DRIFT_SHARE = 0.5
VARIANCE_FLOOR = 1e-8
VOLUME_LIMIT = 3.0
LEADING_COIN = "BTC"


@dataclass(frozen=True)
class CoinBreaks:
    """Where a coin's history breaks.

    `accepted` days open another level, across which there is no return; from `blocked_from`
    on the coin is missing.
    """

    accepted: tuple[date, ...] = ()
    blocked_from: date | None = None


def averaging_weights(target: Target) -> np.ndarray:
    """Return the weight that the return of each of the days ahead has in the target's change."""
    if target.kind == "forward_return":
        return np.ones(target.horizon)
    return np.asarray(np.minimum(np.arange(target.horizon, 0, -1), SMA_DAYS) / SMA_DAYS)


def target_scale(target: Target) -> float:
    """Return the standard deviation of the target's change, in daily ones: 1.962 for SMA10."""
    return float(np.sqrt(np.sum(averaging_weights(target) ** 2)))


def panel_table(
    bars: Mapping[str, pd.DataFrame], target: Target, breaks: Mapping[str, CoinBreaks] | None = None
) -> pd.DataFrame:
    """Return the panel's rows, by (bar_date, symbol) in ascending order.

    Those whose 60 returns vary and whose position is known. Of bars up to the bar date: the
    features (`feature_columns`), `s60`, `level` (what the change is of), `position` and, before
    the drift, `mechanical_position`. Known at bar date + horizon only, else NaN: `ahead_range`
    and `ahead_return`, the half logs of the weighted variance ahead, and `change`, the realised
    log change.
    """
    grid = _Grid.of(bars, breaks or {})
    deviation = grid.returns.rolling(VOLATILITY_DAYS).std()
    deviation = deviation.where(_varies(grid.returns))
    level = _target_level(grid, target)
    position = _mechanical_position(grid, level, target)
    usable = (deviation.notna() & position.notna()).to_numpy()
    drift = (
        DRIFT_SHARE
        * 0.5
        * target_scale(target) ** 2
        * deviation.clip(upper=LARGEST_DRIFT_VOLATILITY) ** 2
    )
    wide: dict[str, pd.Series | pd.DataFrame] = {
        **_coin_features(grid, deviation),
        **_pool_features(grid),
        "s60": deviation,
        "level": level,
        "mechanical_position": position,
        "position": position - drift,
        "ahead_range": _half_log_ahead(grid.variance, target, 0.0),
        "ahead_return": _half_log_ahead(grid.returns**2, target, VARIANCE_FLOOR),
        "change": _change_ahead(grid, level, target),
    }
    day, coin = np.nonzero(usable)
    columns = {
        name: values.to_numpy()[day, coin]
        if isinstance(values, pd.DataFrame)
        else values.to_numpy()[day]
        for name, values in wide.items()
    }
    index = pd.MultiIndex.from_arrays(
        [grid.days[day], pd.Index(grid.returns.columns)[coin]], names=["bar_date", "symbol"]
    )
    return pd.DataFrame(columns, index=index)


def feature_columns(table: pd.DataFrame) -> list[str]:
    """Return the names of the features of a panel table."""
    return [name for name in table.columns if name not in _NO_FEATURES]


_NO_FEATURES = (
    "s60",
    "level",
    "mechanical_position",
    "position",
    "ahead_range",
    "ahead_return",
    "change",
)


@dataclass(frozen=True)
class _Grid:
    """Days x coins: log returns, Garman-Klass variances, closes and volumes."""

    days: pd.DatetimeIndex
    returns: pd.DataFrame
    variance: pd.DataFrame
    close: pd.DataFrame
    volume: pd.DataFrame

    @classmethod
    def of(cls, bars: Mapping[str, pd.DataFrame], breaks: Mapping[str, CoinBreaks]) -> "_Grid":
        symbols = sorted(symbol for symbol, frame in bars.items() if len(frame))
        days = pd.date_range(
            min((bars[symbol].index.min() for symbol in symbols), default=pd.Timestamp(0)),
            max((bars[symbol].index.max() for symbol in symbols), default=pd.Timestamp(0)),
            name="bar_date",
        )
        wide = {
            column: pd.DataFrame(
                {symbol: bars[symbol][column].reindex(days) for symbol in symbols}, index=days
            ).astype(np.float64)
            for column in BAR_COLUMNS
        }
        for symbol, breaks_of_coin in breaks.items():
            if breaks_of_coin.blocked_from is not None and symbol in symbols:
                for frame in wide.values():
                    frame.loc[pd.Timestamp(breaks_of_coin.blocked_from) :, symbol] = np.nan
        returns = _log(wide["close"]).diff()
        for symbol, breaks_of_coin in breaks.items():
            if symbol in symbols:
                returns.loc[returns.index.isin(_stamps(breaks_of_coin.accepted)), symbol] = np.nan
        # Garman and Klass 1980: the variance of a day from its open, high, low and close.
        variance = (
            0.5 * _log(wide["high"] / wide["low"]) ** 2
            - (2 * np.log(2) - 1) * _log(wide["close"] / wide["open"]) ** 2
        ).clip(lower=VARIANCE_FLOOR)
        return cls(days, returns, variance, wide["close"], wide["volume"])


def _coin_features(grid: _Grid, deviation: pd.DataFrame) -> dict[str, pd.DataFrame]:
    returns, log_range = grid.returns, 0.5 * _log(grid.variance)
    absolute, log_deviation = returns.abs(), _log(deviation)
    volume = grid.volume.rolling
    features = {f"log_rms_return_{days}": _log_rms(returns, days) for days in RETURN_DAYS}
    features["log_s60"] = log_deviation
    features |= {f"log_range_{days}": _log_range(grid, days) for days in RANGE_DAYS}
    features["log_range_ever"] = log_range.expanding(60).mean()
    for days in (20, 60):
        mean = absolute.rolling(days).mean()
        features[f"log_mean_return_{days}"] = _log(1.2533 * mean + 1e-6)
    features["downside_20"] = _log_rms(returns.clip(upper=0), 20) - _log_rms(returns, 20)
    features["largest_return_60"] = _log(absolute.rolling(60).max()) - log_deviation
    for days in (3, 8, 20):
        decayed = grid.variance.ewm(halflife=days, min_periods=10).mean()
        features[f"log_range_halflife_{days}"] = 0.5 * _log(decayed)
    features["range_deviation_20"] = log_range.rolling(20).std()
    features["volume_3_60"] = _volume_ratio(volume(3).mean(), volume(60).mean())
    features["volume_10_120"] = _volume_ratio(volume(10).mean(), volume(120, min_periods=60).mean())
    return features


def _pool_features(grid: _Grid) -> dict[str, pd.Series]:
    log_range = 0.5 * _log(grid.variance)
    pool_range, pool_return = log_range.mean(axis=1), grid.returns.mean(axis=1)
    volume = grid.volume.rolling
    features = {
        f"pool_range_{days}": pool_range.rolling(days).mean() for days in (1, 3, 10, 30, 90)
    }
    if LEADING_COIN in log_range:
        leading = log_range[LEADING_COIN]
        features |= {f"btc_range_{days}": leading.rolling(days).mean() for days in (5, 20)}
    features |= {f"log_rms_pool_return_{days}": _log_rms(pool_return, days) for days in (5, 20)}
    features["dispersion_10"] = _log(grid.returns.std(axis=1).rolling(10).mean())
    features["pool_volume_3_60"] = _volume_ratio(volume(3).mean(), volume(60).mean()).mean(axis=1)
    weekday = grid.days.dayofweek
    for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat")):
        features[name] = pd.Series((weekday == number).astype(np.float64), index=grid.days)
    return features


def _varies(returns: pd.DataFrame) -> pd.DataFrame:
    """Return where the last 60 returns are not all equal: rounding gives those a deviation."""
    window = returns.rolling(VOLATILITY_DAYS)
    return window.max() > window.min()


def _log_rms(values: Frame, days: int) -> Frame:
    mean = (values**2).rolling(days, min_periods=_fewest(days)).mean()
    return 0.5 * _log(mean.clip(lower=0) + VARIANCE_FLOOR)


def _log_range(grid: _Grid, days: int) -> pd.DataFrame:
    if days == 1:
        return 0.5 * _log(grid.variance)
    mean = grid.variance.rolling(days, min_periods=_fewest(days)).mean()
    return 0.5 * _log(mean + VARIANCE_FLOOR)


def _log(values: Frame) -> Frame:
    """Return natural logs; of what is not above 0 there is none."""
    return cast(Frame, np.log(values.where(values > 0)))


def _fewest(days: int) -> int:
    return max(2, ceil(0.8 * days))


def _volume_ratio(recent: pd.DataFrame, usual: pd.DataFrame) -> pd.DataFrame:
    ratio = (recent / usual.where(usual > 0)).clip(lower=float(np.exp(-VOLUME_LIMIT)))
    return _log(ratio).clip(upper=VOLUME_LIMIT)


def _target_level(grid: _Grid, target: Target) -> pd.DataFrame:
    """Return what the target's change is of: SMA10 or the close."""
    return grid.close if target.kind == "forward_return" else grid.close.rolling(SMA_DAYS).mean()


def _mechanical_position(grid: _Grid, level: pd.DataFrame, target: Target) -> pd.DataFrame:
    return grid.close * 0.0 if target.kind == "forward_return" else _log(grid.close / level)


def _half_log_ahead(daily: pd.DataFrame, target: Target, added: float) -> pd.DataFrame:
    weights = averaging_weights(target) ** 2
    total = pd.DataFrame(0.0, index=daily.index, columns=daily.columns)
    for days, weight in enumerate(weights, 1):
        total = total + float(weight) * daily.shift(-days)
    return 0.5 * _log(total / float(weights.sum()) + added)


def _change_ahead(grid: _Grid, level: pd.DataFrame, target: Target) -> pd.DataFrame:
    """Return the realised log change; missing where a return on the way is."""
    change = _log(level.shift(-target.horizon) / level)
    way = grid.returns.rolling(target.horizon).sum().shift(-target.horizon)
    return change.where(way.notna())


def _stamps(days: Sequence[date]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([pd.Timestamp(day) for day in days])
