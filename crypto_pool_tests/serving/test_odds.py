"""The odds of any move, and the move that is expected, of a served panel."""

import pytest

from crypto_pool_tests.pool_frames import LAST, pool_frames
from crypto_pool_tests.serving.conftest import Served


def test_odds_are_those_of_the_stored_panel(pool: Served) -> None:
    stored = pool_frames()["panel_forecasts"].iloc[0]
    answer = pool.get("/odds?symbol=btc&move=5").json()
    assert answer["probability"] == pytest.approx(stored["panel_up"], abs=1e-6)
    assert answer["expected"]["bar_date"] == LAST.isoformat()
    assert pool.get("/odds?symbol=BTC&move=8").json()["probability"] < answer["probability"]


@pytest.mark.parametrize("move", ["-12.5", "-12.5%", "-12.5%25"])
def test_a_move_is_asked_for_in_percent_as_of_the_command_and_told_as_all_else(
    pool: Served, move: str
) -> None:
    """Whatever ends in `_pct` is a fraction, as everywhere."""
    assert pool.get(f"/odds?symbol=BTC&move={move}").json()["move_pct"] == -0.125


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/odds?symbol=NOPE&move=5", 404, "no coin of this pool"),
        ("/odds?symbol=ETH&move=5", 404, "no panel forecast yet"),
        ("/odds?symbol=BTC&move=-100", 422, "a price cannot fall by 100 % or more"),
        ("/odds?symbol=BTC&move=nan", 422, "a move of nan % is none"),
        ("/odds?symbol=BTC&move=much", 422, "'much' is no move; write it in percent"),
        ("/odds?symbol=BTC&move_pct=8", 422, "query move_pct: is no parameter"),
    ],
)
def test_odds_that_cannot_be_given_are_refused(
    pool: Served, path: str, status: int, says: str
) -> None:
    answer = pool.get(path)
    assert answer.status_code == status
    assert says in answer.text


def test_a_forecast_stands_beside_the_expected_move(pool: Served) -> None:
    answer = pool.get("/prediction?symbol=BTC&trend_type=uptrend").json()
    move = answer["expected_move"]
    assert move["change_10_pct"] < move["change_50_pct"] < move["change_90_pct"]
    assert move["price_50_usd"] == pytest.approx(50_000 * (1 + move["change_50_pct"]))
    assert pool.get("/prediction?symbol=ETH&trend_type=uptrend").json()["expected_move"] is None
