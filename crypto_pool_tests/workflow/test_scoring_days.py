"""The outcomes of a day's forecasts: nothing that comes due is left unscored."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.tables import OUTCOMES, PREDICTIONS
from crypto_pool.workflow.day_plan import CatchUpWindow, days_to_score
from crypto_pool.workflow.day_rows import stored_rows
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.scoring import score_day
from crypto_pool_tests.workflow.forecast_days import (
    DAY,
    LATE,
    NO_PANEL,
    forecaster,
    row_of,
    versions,
    write_walk,
)

pytestmark = pytest.mark.usefixtures("quick_models")


def test_a_horizon_that_was_lowered_leaves_no_forecast_unscored(store):
    """A row has the horizon it was made with: it matures then, and not by today's setting."""
    day, horizon = date(2024, 1, 10), 40
    member = Member("AAA", Trend.UPTREND)
    made = row_of(member, "1", day, False, prediction_window_days=horizon)
    store.write("daily_predictions", f"{day}", PREDICTIONS.frame([made]))
    matured = day + timedelta(days=horizon)

    def pending(last_closed, catch_up_days=7):
        window = CatchUpWindow(last_closed, date(2020, 1, 1), catch_up_days)
        return days_to_score(store, window)

    assert pending(matured - timedelta(days=1)) == ()
    assert pending(matured) == pending(matured + timedelta(days=6)) == (day,)
    next_day = day + timedelta(days=1)
    store.write("daily_predictions", f"{next_day}", PREDICTIONS.frame([]))
    scored = OUTCOMES.row(made, {"prediction_date": next_day, "outcome": 1.0})
    store.write("prediction_outcomes", f"{next_day}", OUTCOMES.frame([scored]))
    assert pending(matured + timedelta(days=6)) == (day,)
    assert pending(matured + timedelta(days=7)) == ()
    assert score_day(FrameCache(store), f"{day}", LATE, NO_PANEL) == (1, 0, {})
    assert pending(matured) == ()


def test_what_matured_while_the_pool_stood_still_is_scored_however_long_that_was(store):
    member, begun = Member("AAA", Trend.UPTREND), date(2023, 1, 10)
    days = [begun + timedelta(days=number) for number in range(3)]
    for day in days:
        rows = PREDICTIONS.frame([row_of(member, "1", day, False)])
        store.write("daily_predictions", f"{day}", rows)
    scored = OUTCOMES.row(row_of(member, "1", begun, False), {"outcome": 1.0})
    store.write("prediction_outcomes", f"{begun}", OUTCOMES.frame([scored]))
    window = CatchUpWindow(begun + timedelta(days=200), date(2020, 1, 1))
    assert days_to_score(store, window) == tuple(days[1:])
    assert days_to_score(store, replace(window, first_prediction_date=days[2])) == (days[2],)


@pytest.mark.parametrize(("widest", "inside"), [(0.5, True), (-0.4, False)])
def test_an_outcome_counts_whether_it_lay_in_the_panels_range(store, widest, inside):
    write_walk(store, "AAA")
    forecaster(store, "AAA", "BBB").forecast_day(DAY)
    ranges = {"change_10_pct": -0.5, "change_90_pct": widest}
    panel = pd.DataFrame(
        {**ranges, "target": "sma_shift", "prediction_window_days": 10},
        index=pd.MultiIndex.from_tuples([(pd.Timestamp(DAY), "AAA")], names=["bar_date", "symbol"]),
    )
    score_day(FrameCache(store), f"{DAY}", LATE, panel)
    told = {row["symbol"]: row for row in stored_rows(store, OUTCOMES, f"{DAY}")}
    closes = store.read("daily_bars", "AAA")["close"].rolling(10).mean()
    then, now = closes[pd.Timestamp(DAY) + pd.Timedelta(days=10)], closes[pd.Timestamp(DAY)]
    assert told["AAA"]["change_pct"] == pytest.approx(then / now - 1)
    assert (told["AAA"]["inside_range"], told["BBB"]["inside_range"]) == (inside, None)
    score_day(FrameCache(store), f"{DAY}", LATE, panel.assign(prediction_window_days=20))
    assert stored_rows(store, OUTCOMES, f"{DAY}")[0]["inside_range"] is None


@pytest.mark.parametrize("length", [0, 100, -20])
def test_a_coin_whose_bars_are_damaged_is_named_and_the_others_are_scored(store, length):
    for coin in ("AAA", "BBB"):
        forecaster(store, coin).forecast_day(DAY)
    assert score_day(FrameCache(store), f"{DAY}", LATE, NO_PANEL)[:2] == (2, 0)
    bars = Path(store.path("daily_bars", "AAA"))
    bars.write_bytes(bars.read_bytes()[:length])
    scored, pending, faults = score_day(FrameCache(store), f"{DAY}", LATE, NO_PANEL)
    assert (scored, pending) == (2, 0), "what was scored before stays"
    assert list(faults) == ["AAA"]
    assert "delete it, then run `crypto-pool build`" in faults["AAA"]


def test_a_damaged_file_of_outcomes_is_scored_anew(store):
    forecaster(store, "AAA").forecast_day(DAY)
    score_day(FrameCache(store), f"{DAY}", LATE, NO_PANEL)
    window = CatchUpWindow(DAY + timedelta(days=12), date(2020, 1, 1), catch_up_days=7)
    assert days_to_score(store, window) == ()
    outcomes = Path(store.path(OUTCOMES.store_name, f"{DAY}"))
    whole = outcomes.read_bytes()
    outcomes.write_bytes(whole[:-30])
    assert days_to_score(store, window) == (DAY,)
    assert score_day(FrameCache(store), f"{DAY}", LATE, NO_PANEL)[0] == 1
    assert len(stored_rows(store, OUTCOMES, f"{DAY}")) == 1


def test_a_damaged_day_is_named_with_the_command_that_makes_it(store):
    """And does as it says."""
    forecaster(store, "AAA").forecast_day(DAY)
    file = Path(store.path(PREDICTIONS.store_name, f"{DAY}"))
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(Exception, match=f"then run `crypto-pool predict --date {DAY}`"):
        forecaster(store, "AAA").forecast_day(DAY)
    file.unlink()
    forecaster(store, "AAA", now=LATE).forecast_day(DAY)
    assert versions(store) == {"AAA": "1"}
