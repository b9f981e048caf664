"""The probability of any move."""

import math
from datetime import timedelta

import pytest

from crypto_pool.domain.odds import expected_move, odds_of, read_move, why_no_odds
from crypto_pool.errors import InvalidSetting
from crypto_pool_tests.pool_frames import LAST, pool_frames

ROW = pool_frames()["panel_forecasts"].to_dict("records")[0]


def test_at_the_targets_own_percentage_are_the_stored_probabilities() -> None:
    assert odds_of(ROW, 0.05, LAST).probability == pytest.approx(ROW["panel_up"], abs=1e-9)
    assert 1 - odds_of(ROW, -0.05, LAST).probability == pytest.approx(ROW["panel_down"], abs=1e-9)


def test_fall_as_the_move_grows() -> None:
    found = [odds_of(ROW, move, LAST).probability for move in (-0.5, -0.1, 0.0, 0.1, 1.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.99 > 0.01 > found[-1]


def test_odds_of_an_old_bar_say_how_old_it_is_or_that_the_coin_has_left() -> None:
    later, retired = LAST + timedelta(days=4), LAST + timedelta(days=1)
    assert odds_of(ROW, 0.05, retired, later).stale_reason is None
    assert f"{LAST}, 4 days before the last" in str(odds_of(ROW, 0.05, later).stale_reason)
    for day in (retired, later):
        left = odds_of(ROW, 0.05, day, retired).stale_reason
        assert left is not None
        assert f"retired from {retired} on, and its last forecast is from the bar of {LAST}" in left


def test_the_expected_move_is_told_in_price_and_percent() -> None:
    move = expected_move(ROW)
    assert (move.symbol, move.bar_date, move.horizon) == ("BTC", LAST, 10)
    assert move.price_50_usd == pytest.approx(50_000 * math.exp(0.02))
    reach = math.sqrt(3.85) * 0.03 * 1.6
    assert move.change_10_pct == pytest.approx(math.expm1(0.02 - reach))
    assert move.price_90_usd == pytest.approx(50_000 * math.exp(0.02 + reach))


@pytest.mark.parametrize(
    ("text", "move"), [("8%", 0.08), ("8", 0.08), (" -12.5% ", -0.125), ("+3 %", 0.03)]
)
def test_a_move_is_read_in_percent(text: str, move: float) -> None:
    assert read_move(text) == pytest.approx(move)


@pytest.mark.parametrize("text", ["-100%", "-250", "nan", "inf", "eight", ""])
def test_what_is_no_move_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"such as -20%|8% or -5%"):
        read_move(text)


def test_a_coin_without_odds_is_told_why() -> None:
    assert "whose coins are BTC, ETH" in why_no_odds("NOPE", ["ETH", "BTC"])
    assert "has no panel forecast yet" in why_no_odds("ETH", ["ETH", "BTC"])
