"""The panel alone over history."""

from datetime import date

import pandas as pd
import pytest

from crypto_pool.domain.recipe import Target
from crypto_pool.replay.panel import replay_panel
from crypto_pool.sandbox.market import SyntheticMarket

LAST = date(2021, 6, 30)
SYMBOLS = ("ADA", "BTC", "ETH", "LTC", "SOL", "XRP")


@pytest.fixture(scope="module")
def bars() -> dict[str, pd.DataFrame]:
    return {symbol: SyntheticMarket().bars(symbol, LAST) for symbol in SYMBOLS}


def test_scores_the_days_between_and_tells_them_apart(bars: dict[str, pd.DataFrame]) -> None:
    played = replay_panel(bars, Target(), date(2021, 2, 1), date(2021, 5, 31))
    days = played.scored.index.get_level_values("bar_date")
    assert (days.min(), days.max()) == (pd.Timestamp("2021-02-02"), pd.Timestamp("2021-05-31"))
    assert len(played.scored) == len(SYMBOLS) * 119
    rows = {row["of"]: row for row in played.rows()}
    assert set(rows) == {"all", "2021-H1", *SYMBOLS}
    assert rows["all"]["rows"] == sum(rows[symbol]["rows"] for symbol in SYMBOLS)
    assert played.moves.keys() >= {-0.2, 0.0, 0.05}
    one = replay_panel(bars, Target(), date(2021, 2, 1), date(2021, 5, 31), ["BTC"]).rows()
    assert one[-1] == rows["BTC"]
    assert one[0] == {**rows["BTC"], "of": "all"}


def test_later_bars_change_no_forecast(bars: dict[str, pd.DataFrame]) -> None:
    """Which are known to the replay for the outcomes alone."""
    end = date(2021, 4, 30)
    cut = {symbol: frame.loc[: pd.Timestamp("2021-05-10")] for symbol, frame in bars.items()}
    known = replay_panel(bars, Target(), date(2021, 2, 1), end)
    pd.testing.assert_frame_equal(
        replay_panel(cut, Target(), date(2021, 2, 1), end).scored, known.scored
    )


def test_a_coin_is_missing_from_the_break_of_its_prices_on(bars: dict[str, pd.DataFrame]) -> None:
    """As in a pool, where nobody has accepted it: it teaches nothing and is not scored."""
    day = pd.Timestamp("2021-03-15")
    ends, broken = bars["XRP"].loc[: day - pd.Timedelta(days=1)], bars["XRP"].copy()
    broken.loc[day:, ["open", "high", "low", "close"]] *= 1000
    whole, cut = (
        replay_panel({**bars, "XRP": xrp}, Target(), date(2021, 2, 1), date(2021, 5, 31))
        for xrp in (broken, ends)
    )
    pd.testing.assert_frame_equal(whole.scored, cut.scored)


def test_too_few_bars_for_a_panel_score_nothing(bars: dict[str, pd.DataFrame]) -> None:
    few = {symbol: bars[symbol].head(200) for symbol in ("BTC", "ETH")}
    start = few["BTC"].index[150].date()
    (row,) = replay_panel(few, Target(), start, few["BTC"].index[-20].date()).rows()
    assert (row["of"], row["rows"]) == ("all", 0)
    assert row["skill_over_reference"] is row["inside_80"] is None
