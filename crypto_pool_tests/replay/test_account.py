"""The paper account, on prices made by hand."""

import pandas as pd
import pytest

from crypto_pool.replay.account import Costs, account_statistics, buy_and_hold, follow_signals

DAYS = pd.date_range("2021-01-01", periods=6, name="date")
BARS = {"BTC": pd.DataFrame({"open": [100.0, 100, 110, 121, 121, 121]}, index=DAYS)}
FREE = Costs(0, 0)


def signals(*flagged: bool, trend: str = "uptrend") -> pd.DataFrame:
    return pd.DataFrame(
        {"symbol": "BTC", "trend": trend, "flagged": list(flagged)}, index=DAYS[: len(flagged)]
    )


def test_a_signal_earns_from_the_next_open_on() -> None:
    """The rise from the second open on is had by a signal of the first day, not of the second."""
    returns = follow_signals(signals(True, False, False), BARS, 1, FREE)
    assert returns.to_list() == pytest.approx([0, 0.1, 0, 0, 0])
    returns = follow_signals(signals(False, False, True), BARS, 1, FREE)
    assert returns.to_list() == pytest.approx([0, 0, 0, 0, 0])


def test_a_signal_is_held_for_the_horizon_and_every_trade_pays() -> None:
    returns = follow_signals(signals(True, False, False), BARS, 2, Costs(0.01, 0.01))
    assert returns.to_list() == pytest.approx([0, 0.1 - 0.02, 0.05 - 0.01, -0.01, 0])


def test_a_downtrend_signal_of_the_same_day_keeps_out() -> None:
    both = pd.concat([signals(True), signals(True, trend="downtrend")])
    assert follow_signals(both, BARS, 1, FREE).abs().sum() == 0


def test_buy_and_hold_pays_once() -> None:
    returns = buy_and_hold(BARS, Costs(0.01, 0.0))
    assert account_statistics(returns)["total_return"] == pytest.approx(1.21 * 0.99 - 1)
    assert account_statistics(buy_and_hold(BARS, FREE))["max_drawdown"] == 0.0


def test_statistics_that_are_undefined_are_null() -> None:
    idle = account_statistics(pd.Series(0.0, index=DAYS))
    assert idle["sharpe_ratio"] is None
    assert idle["total_return"] == 0.0
