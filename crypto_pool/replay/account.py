"""A paper account that follows the signals, beside buying and holding the same coins.

Each coin has an equal share of the capital. On each day its exposure is the share of the
last `horizon` days on which its uptrend champion raised a signal and its downtrend champion
did not: a signal is held for the horizon, no coin is sold short, and the rest is cash. A
signal of bar date t is known once that bar has closed, so it trades at the open of t + 1,
and earns from that open to the next. Every trade pays fee and slippage on what it moves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

DAYS_A_YEAR = 365


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
    """Daily returns of the account after costs, by the day they begin on."""
    returns = _open_returns(bars)
    if forecasts.empty:
        return pd.Series(0.0, index=returns.index)
    flagged = forecasts.set_index(["symbol", "trend"], append=True)["flagged"].astype(float)
    signals = flagged.unstack(["symbol", "trend"]).reindex(returns.index).fillna(0.0)
    exposure = pd.DataFrame(0.0, index=returns.index, columns=returns.columns)
    for symbol in exposure.columns:
        up = _column(signals, symbol, "uptrend")
        down = _column(signals, symbol, "downtrend")
        bought = (up > 0) & ~(down > 0)
        # Known when the bar closes, so traded and earning from the next day on.
        exposure[symbol] = bought.astype(float).rolling(horizon, min_periods=1).mean().shift(1)
    exposure = exposure.fillna(0.0).where(returns.notna(), 0.0)
    traded = exposure.diff().abs().fillna(exposure.abs())
    earned = exposure * returns.fillna(0.0) - traded * costs.rate
    return earned.mean(axis=1)


def buy_and_hold(bars: Mapping[str, pd.DataFrame], costs: Costs) -> pd.Series:
    """Daily returns of equal amounts of all coins, bought at each one's first open and kept."""
    returns = _open_returns(bars)
    first = returns.notna() & (returns.notna().cumsum() == 1)
    growth = (1 + returns.fillna(0.0)) * (1 - costs.rate * first.astype(float))
    equity = growth.cumprod().mean(axis=1)
    return equity.pct_change().fillna(equity.iloc[0] - 1)


def account_statistics(returns: pd.Series) -> dict[str, Any]:
    """Statistics of daily returns; a year has 365 days, for the market never closes."""
    import empyrical

    figures = {
        "total_return": empyrical.cum_returns_final(returns),
        "annual_return": empyrical.annual_return(returns, annualization=DAYS_A_YEAR),
        "annual_volatility": empyrical.annual_volatility(returns, annualization=DAYS_A_YEAR),
        "sharpe_ratio": empyrical.sharpe_ratio(returns, annualization=DAYS_A_YEAR),
        "sortino_ratio": empyrical.sortino_ratio(returns, annualization=DAYS_A_YEAR),
        "calmar_ratio": empyrical.calmar_ratio(returns, annualization=DAYS_A_YEAR),
        "max_drawdown": empyrical.max_drawdown(returns),
    }
    finite = pd.Series(figures, dtype=float).replace([float("inf"), -float("inf")], float("nan"))
    return {
        name: None if pd.isna(value) else float(value)
        for name, value in zip(figures, finite, strict=True)
    }


def _open_returns(bars: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    opens = pd.DataFrame({symbol: frame["open"] for symbol, frame in bars.items()})
    opens = opens.asfreq("D")
    return (opens.shift(-1) / opens - 1).iloc[:-1]


def _column(signals: pd.DataFrame, symbol: str, trend: str) -> pd.Series:
    if (symbol, trend) in signals.columns:
        return signals[(symbol, trend)]
    return pd.Series(0.0, index=signals.index)
