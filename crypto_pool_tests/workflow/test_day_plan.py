"""What the pool still owes on a day."""

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import LONGEST_HORIZON
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.day_plan import CatchUpWindow, DayPlan, plan_days, settled_members

LAST = date(2023, 6, 11)
WINDOW = CatchUpWindow(LAST, date(2023, 1, 1), catch_up_days=4)
BTC, ETH = (Member(symbol, Trend.UPTREND) for symbol in ("BTC", "ETH"))


@pytest.fixture
def store(tmp_path) -> FrameStore:
    return FrameStore(str(tmp_path))


def write_rows(store: FrameStore, table: str, day: date, members, **columns) -> None:
    rows = {"symbol": [m.symbol for m in members], "trend": [str(m.trend) for m in members]}
    store.write(table, day.isoformat(), pd.DataFrame({**rows, **columns}))


def test_days_that_are_caught_up_come_the_oldest_first_and_none_before_the_first():
    assert WINDOW.forecast_days == [date(2023, 6, number) for number in (8, 9, 10, 11)]
    assert len(WINDOW.scored_days) == 4 + LONGEST_HORIZON
    assert WINDOW.scored_days[-1] == LAST
    late = CatchUpWindow(LAST, date(2023, 6, 10), 4)
    assert late.forecast_days == late.scored_days == [date(2023, 6, 10), LAST]
    assert len(CatchUpWindow(LAST, date(2020, 1, 1)).forecast_days) == 30


@pytest.mark.parametrize(
    "plan",
    [
        DayPlan(("BTC",), {}, ()),
        DayPlan((), {LAST: frozenset({"a"})}, ()),
        DayPlan((), {}, (LAST,)),
    ],
)
def test_a_plan_with_anything_to_do_is_not_empty(plan):
    assert not plan.is_empty
    assert DayPlan((), {}, ()).is_empty


@pytest.mark.parametrize(("age", "matures"), [(9, False), (10, True), (13, True), (14, False)])
def test_a_forecast_matures_once_its_horizon_has_passed(age, matures):
    assert WINDOW.matures(LAST - timedelta(days=age), 10) is matures


def test_before_the_first_forecast_only_the_last_day_is_owed(store):
    bars = SyntheticMarket().bars("BTC", LAST)
    store.write("daily_bars", "BTC", bars)
    store.write("daily_bars", "ETH", bars.iloc[:-1])
    store.write("daily_bars", "SOL", SyntheticMarket().bars("SOL", LAST + timedelta(days=1)))
    ada, sol = (Member(symbol, Trend.UPTREND) for symbol in ("ADA", "SOL"))
    plan = plan_days(store, [BTC, ETH, ada, sol], WINDOW)
    assert plan.behind == ("ETH", "ADA")
    assert plan.forecast == {LAST: {"BTC_uptrend", "ETH_uptrend", "ADA_uptrend", "SOL_uptrend"}}
    assert plan.score == ()
    assert not plan.is_empty


def test_what_was_made_or_cannot_be_is_owed_no_more(store):
    store.write("daily_bars", "BTC", SyntheticMarket().bars("BTC", LAST))
    store.write("daily_bars", "ETH", SyntheticMarket().bars("ETH", LAST))
    for day in WINDOW.forecast_days[1:]:
        write_rows(store, "daily_predictions", day, [BTC], prediction_window_days=10)
        write_rows(store, "missing_forecasts", day, [ETH], has_bar=day == date(2023, 6, 10))
    assert settled_members(store, date(2023, 6, 10)) == {"BTC_uptrend", "ETH_uptrend"}
    plan = plan_days(store, [BTC, ETH], WINDOW)
    first = date(2023, 6, 9)
    assert plan.forecast == {first: {"ETH_uptrend"}, LAST: {"ETH_uptrend"}}
    for day in (first, LAST):
        write_rows(store, "missing_forecasts", day, [ETH], has_bar=True)
    assert plan_days(store, [BTC, ETH], WINDOW).is_empty


def test_a_day_is_scored_once_each_of_its_forecasts_that_matured_has_an_outcome(store):
    day = LAST - timedelta(days=10)
    write_rows(store, "daily_predictions", day, [BTC, ETH], prediction_window_days=[10, 11])
    assert plan_days(store, [], WINDOW).score == (day,)
    write_rows(store, "prediction_outcomes", day, [ETH])
    assert plan_days(store, [], WINDOW).score == (day,)
    write_rows(store, "prediction_outcomes", day, [BTC])
    assert plan_days(store, [], WINDOW).score == ()


def test_a_day_whose_forecasts_cannot_be_read_is_not_to_be_scored(store):
    day = LAST - timedelta(days=10)
    write_rows(store, "daily_predictions", day, [BTC], prediction_window_days=10)
    Path(store.path("daily_predictions", day.isoformat())).write_bytes(b"half")
    assert plan_days(store, [], WINDOW).score == ()
