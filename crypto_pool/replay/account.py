"""A paper account that follows the signals, beside buying and holding the same coins.

Each coin has an equal share of the capital. On each day its exposure is the share of the
last `horizon` days on which its uptrend champion raised a signal and its downtrend champion
did not: a signal is held for the horizon, no coin is sold short, and the rest is cash. A
signal of bar date t is known once that bar has closed, so it trades at the open of t + 1,
and earns from that open to the next. Every trade pays fee and slippage on what it moves.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from crypto_pool.domain.breaks import level_breaks
from crypto_pool.domain.members import Trend

DAYS_A_YEAR = 365
STATISTICS = (
    "total_return",
    "annual_return",
    "annual_volatility",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "max_drawdown",
)


@dataclass(frozen=True)
class Costs:
    """What a trade costs, each a fraction of the amount moved."""

    fee: float = 0.001
    slippage: float = 0.0005

    @property
    def rate(self) -> float:
        """Both together."""
        return self.fee + self.slippage


def follow_signals(
    forecasts: pd.DataFrame, bars: Mapping[str, pd.DataFrame], horizon: int, costs: Costs
) -> pd.Series:
    """Return daily returns of the account after costs, by the day they begin on."""
    days = _days(bars)
    if forecasts.empty:
        return pd.Series(0.0, index=days)
    dated = forecasts.assign(day=pd.to_datetime(forecasts["prediction_date"]))
    signal = dated.set_index(["day", "symbol", "trend"])["signal"].astype(float)
    wanted = pd.MultiIndex.from_product([bars, map(str, Trend)])
    signals = signal.unstack(["symbol", "trend"]).reindex(index=days, columns=wanted).fillna(0.0)
    earned = {}
    for symbol, frame in bars.items():
        up, down = signals[symbol, Trend.UPTREND] > 0, signals[symbol, Trend.DOWNTREND] > 0
        bought = (up & ~down).astype(float)
        # Known when the bar closes, so traded at the next open there is, and held to the one after.
        known = bought.rolling(horizon, min_periods=1).mean().shift(1).fillna(0.0)
        returns = _open_returns(frame)
        exposure = known.reindex(returns.index)
        traded = exposure.diff().abs().fillna(exposure)
        earned[symbol] = exposure * returns - traded * costs.rate
    return pd.DataFrame(earned).reindex(days).fillna(0.0).mean(axis=1)


def buy_and_hold(bars: Mapping[str, pd.DataFrame], costs: Costs) -> pd.Series:
    """Return daily returns of equal amounts of all coins, bought at each one's first open."""
    days = _days(bars)
    growth = pd.DataFrame(
        {symbol: 1 + _open_returns(frame) for symbol, frame in bars.items()}, index=days
    )
    first = growth.notna() & (growth.notna().cumsum() == 1)
    growth = growth.fillna(1.0) * (1 - costs.rate * first.astype(float))
    equity = growth.cumprod().mean(axis=1)
    return equity.pct_change().fillna(equity.iloc[0] - 1)


def account_value(returns: pd.Series) -> pd.Series:
    """What 1 invested is worth at the end of each day."""
    return (1 + returns).cumprod()


def account_statistics(returns: pd.Series) -> dict[str, Any]:
    """Statistics of daily returns; a year has 365 days, for the market never closes.

    Annual return is the compound growth rate. The ratios are those of Sharpe (1994), Sortino
    and Price (1994) and Young (1991, Calmar), without a risk-free rate: the mean over the
    standard deviation, the mean over the root mean square of the losses, and the annual return
    over the largest drawdown. What is undefined is None.
    """
    if returns.empty:
        return dict.fromkeys(STATISTICS)
    value = account_value(returns)
    final = float(value.iloc[-1])
    annual = final ** (DAYS_A_YEAR / len(returns)) - 1
    # The mean of equal returns may differ from them in the last bit: no deviation, not 1e-18.
    deviation = float(returns.std()) if returns.nunique() > 1 else 0.0
    losses = math.sqrt((returns.clip(upper=0.0) ** 2).mean())
    drawdown = float((value / value.cummax().clip(lower=1.0) - 1).min())
    a_year = math.sqrt(DAYS_A_YEAR)
    figures = (
        final - 1,
        annual,
        deviation * a_year,
        _ratio(returns.mean() * a_year, deviation),
        _ratio(returns.mean() * a_year, losses),
        _ratio(annual, -drawdown),
        drawdown,
    )
    return dict(zip(STATISTICS, figures, strict=True))


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _days(bars: Mapping[str, pd.DataFrame]) -> pd.DatetimeIndex:
    """Return every day of the account, which begins and ends with the bars of its coins."""
    indices = [frame.index for frame in bars.values() if len(frame)]
    first, last = min(index.min() for index in indices), max(index.max() for index in indices)
    return pd.date_range(first, last - pd.Timedelta(days=1), freq="D")


def _open_returns(bars: pd.DataFrame) -> pd.Series:
    """Return by day what its open earned until the next one there is, over missing days too.

    Not across a level break, whose prices are about another unit or coin: of the day before and
    the day itself, since a source may open a day at the close before.
    """
    opens = bars["open"].dropna()
    parted = [day for one in level_breaks(bars.loc[opens.index]) for day in (one.before, one.day)]
    return (opens.shift(-1) / opens - 1).iloc[:-1].drop(pd.DatetimeIndex(parted), errors="ignore")
