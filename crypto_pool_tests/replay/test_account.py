"""The paper account, on prices made by hand."""

import pandas as pd
import pytest

from crypto_pool.replay.account import (
    Costs,
    account_statistics,
    account_value,
    buy_and_hold,
    follow_signals,
)

DAYS = pd.date_range("2021-01-01", periods=6, name="date")


def bars_of(days: pd.DatetimeIndex, opens: list[float]) -> pd.DataFrame:
    """Days that close where the next one opens."""
    return pd.DataFrame({"open": opens, "close": [*opens[1:], opens[-1]]}, index=days)


BARS = {"BTC": bars_of(DAYS, [100.0, 100, 110, 121, 121, 121])}
AFTER_A_GAP = ["2021-01-07", "2021-01-08", "2021-01-09"]
FREE = Costs(0, 0)


def signals(*flagged: bool, trend: str = "uptrend") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "prediction_date": DAYS[: len(flagged)],
            "symbol": "BTC",
            "trend": trend,
            "signal": list(flagged),
        }
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


def test_a_move_over_missing_days_is_had_by_whoever_held_over_them() -> None:
    """By hand: 100 to 150 over a gap of three days, then to 135 and 162.

    Signalled on all days that count before the gap: the whole of +50 %. Then no signal: none of the
    -10 %. A signal of the day after, which trades at the open of the next: half of +20 %.
    """
    days = pd.DatetimeIndex(["2021-01-01", "2021-01-02", "2021-01-03", *AFTER_A_GAP])
    bars = {"UNI": bars_of(days, [80.0, 90, 100, 150, 135, 162])}
    flagged = pd.Series(False, index=pd.date_range("2021-01-01", "2021-01-10"))
    flagged[["2021-01-01", "2021-01-02", "2021-01-07"]] = True
    told = pd.DataFrame({"symbol": "UNI", "trend": "uptrend", "signal": flagged})
    told = told.rename_axis("prediction_date").reset_index()
    returns = follow_signals(told, bars, 2, FREE)
    by_hand = (100 / 90) * (150 / 100) * 1.0 * (1 + (162 / 135 - 1) / 2) - 1
    assert account_statistics(returns)["total_return"] == pytest.approx(by_hand, abs=5e-4)
    held = account_statistics(buy_and_hold(bars, FREE))["total_return"]
    assert held == pytest.approx(162 / 80 - 1, abs=5e-4)


@pytest.mark.parametrize("opens_at_the_close_before", [False, True])
def test_nobody_earns_by_a_redenomination(opens_at_the_close_before: bool) -> None:
    """Prices are 1,000 times as high from the fourth day on, by its open or by its close."""
    bars = bars_of(DAYS, [100.0, 110, 121, 121, 121, 121])
    bars.iloc[3:] *= 1000
    bars.iloc[2, 1] = 121.0
    if opens_at_the_close_before:
        bars.iloc[3, 0] = 121.0
    held = account_statistics(buy_and_hold({"BTC": bars}, FREE))
    assert held["total_return"] == pytest.approx(0.21)
    flagged = signals(True, True, True, True, True)
    followed = account_statistics(follow_signals(flagged, {"BTC": bars}, 1, FREE))
    assert followed["total_return"] == pytest.approx(0.1)


def test_statistics_are_those_computed_by_hand() -> None:
    """The account goes from 1 to 1.1, 0.55 and 1.1; the returns deviate by -0.1, -0.7 and 0.8."""
    figures = account_statistics(pd.Series([0.1, -0.5, 1.0], index=DAYS[:3]))
    annual = 1.1 ** (365 / 3) - 1
    assert figures == pytest.approx(
        {
            "total_return": 0.1,
            "annual_return": annual,
            "annual_volatility": (1.14 / 2) ** 0.5 * 365**0.5,
            "sharpe_ratio": 0.2 / (1.14 / 2) ** 0.5 * 365**0.5,
            "sortino_ratio": 0.2 / (0.25 / 3) ** 0.5 * 365**0.5,
            "calmar_ratio": annual / 0.5,
            "max_drawdown": -0.5,
        }
    )


def test_a_loss_on_the_first_day_is_a_drawdown() -> None:
    figures = account_statistics(pd.Series([-0.2, 0.1], index=DAYS[:2]))
    assert figures["max_drawdown"] == pytest.approx(-0.2)


def test_the_value_is_that_of_1_invested() -> None:
    assert account_value(pd.Series([0.1, -0.5])).to_list() == pytest.approx([1.1, 0.55])


def test_statistics_that_are_undefined_are_null() -> None:
    idle = account_statistics(pd.Series(0.0, index=DAYS))
    undefined = ("sharpe_ratio", "sortino_ratio", "calmar_ratio")
    assert [idle[name] for name in undefined] == [None] * 3
    steady = account_statistics(pd.Series(0.1, index=DAYS))
    assert [steady[name] for name in undefined] == [None] * 3
    assert steady["annual_volatility"] == 0.0
    assert set(account_statistics(pd.Series(dtype=float)).values()) == {None}
    assert idle["total_return"] == 0.0
