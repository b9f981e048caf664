"""What the charts of a page are told, and the paper account behind one of them."""

from datetime import date, timedelta

import duckdb
import pandas as pd
import pytest

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.domain.odds import ExpectedMove
from crypto_pool.replay.account import Costs, buy_and_hold, follow_signals
from crypto_pool.serving.account import DAYS_OF_A_RATE, OF_A_YEAR, live_account
from crypto_pool.serving.changes import latest_changes
from crypto_pool.serving.chart_data import calibration, price_charts
from crypto_pool.serving.state import past_prediction
from crypto_pool_tests.pool_frames import HORIZON, LAST, pool_frames

FIRST = date(2026, 11, 1)


def forecast(day, probability=0.6, *, signal=False, outcome=None, **told):
    row = {
        "prediction_date": day,
        "symbol": "BTC",
        "trend": "uptrend",
        "probability": probability,
        "reference_probability": 0.5,
        "decision_threshold": 0.55,
        "signal": signal,
        "outcome": outcome,
    }
    return past_prediction(row | told)


def days(count):
    return [FIRST + timedelta(days=n) for n in range(count)]


def named(chart):
    return {one["label"]: one["values"] for one in chart["series"]}


def test_the_price_has_each_signal_where_it_was_given_and_the_move_ahead_of_it():
    closes = [{"date": day, "close": 100.0 + n} for n, day in enumerate(days(3))]
    told = [
        forecast(FIRST, signal=True, outcome=1.0),
        forecast(days(3)[1], signal=True, outcome=0.0),
        forecast(days(3)[2], signal=True),
        forecast(FIRST - timedelta(days=9), signal=True),
    ]
    levels = dict.fromkeys(("change_10_pct", "change_50_pct", "change_90_pct"), 0.0)
    move = ExpectedMove(
        symbol="BTC", target="sma_shift", bar_date=days(3)[2], horizon=2,
        level_usd=101.0, sigma=0.02,
        price_10_usd=90.0, price_50_usd=102.0, price_90_usd=115.0, **levels,
    )  # fmt: skip
    charts = price_charts(told, closes, move)
    assert [pd.Timestamp(s, unit="s").date() for s in charts["days"]] == [*days(3), days(5)[4]]
    price, chance = charts["charts"]
    shown = named(price)
    assert shown["close"] == [100.0, 101.0, 102.0, None]
    assert shown["signal, came true"] == [100.0, None, None, None]
    assert shown["signal, did not"] == [None, 101.0, None, None]
    assert shown["signal, pending"] == [None, None, 102.0, None]
    assert shown["80 % from"] == [None, None, 101.0, 90.0]
    # The script counts the days as the first series.
    assert [price["series"][n - 1]["label"] for n in price["band"]] == ["80 % to", "80 % from"]
    assert named(chance)["pool"] == [0.6, 0.6, 0.6, None]


def test_without_a_move_the_price_ends_with_its_last_close():
    charts = price_charts([], [{"date": FIRST, "close": float("nan")}], None)
    assert named(charts["charts"][0])["close"] == [None]
    assert charts["charts"][0]["band"] is None


def test_calibration_is_of_live_scored_rows_in_groups_of_equal_count():
    told = [forecast(day, n / 20, outcome=float(n >= 10)) for n, day in enumerate(days(20))]
    no_champion_s_live_ones = [
        forecast(FIRST, 0.9, outcome=0.0, **why)
        for why in (
            {"in_sample": True}, {"late": True}, {"status": "abstain"}, {"status": "baseline"}
        )
    ]  # fmt: skip
    points = calibration([*told, *no_champion_s_live_ones, forecast(FIRST, 0.9)])
    assert [count for *_, count in points["pool"]] == [4] * 5
    assert [came for _, came, _ in points["pool"]] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert points["pool"][0][0] == pytest.approx(0.075)
    assert calibration(told[:19]) == {}


@pytest.fixture
def published(tmp_path):
    def open_(frames):
        return duckdb.connect(str(publish(tmp_path, frames)), read_only=True)

    return open_


def test_the_account_follows_the_live_signals_by_the_rules_of_the_replay(published):
    frames = pool_frames()
    forecasts = frames["predictions"]
    forecasts["late"] = forecasts["prediction_date"] == LAST - timedelta(days=2)
    live = forecasts[forecasts["signal"] & ~forecasts["in_sample"] & ~forecasts["late"]]
    flagged = live.assign(flagged=True).set_index(pd.DatetimeIndex(live["prediction_date"]))
    first = pd.Timestamp(forecasts["prediction_date"].min())
    bars = {
        symbol: rows.set_index("date").loc[first:]
        for symbol, rows in frames["daily_bars"].groupby("symbol")
    }
    later = frames["daily_bars"].assign(date=lambda rows: rows["date"] + pd.Timedelta(days=200))
    frames["daily_bars"] = pd.concat([frames["daily_bars"], later])  # nobody has forecast them
    account = live_account(published(frames))
    assert account.horizon == HORIZON
    assert account.last == LAST - timedelta(days=1)
    for name, returns in (
        ("following the signals", follow_signals(flagged, bars, HORIZON, Costs())),
        ("buying and holding", buy_and_hold(bars, Costs())),
    ):
        total = (1 + returns).prod() - 1
        assert account.statistics[name]["total_return"] == pytest.approx(total)
        assert named(account.chart["charts"][0])[name][-1] == pytest.approx(1 + total)


@pytest.mark.parametrize(("days", "known"), [(DAYS_OF_A_RATE, True), (DAYS_OF_A_RATE - 1, False)])
def test_a_year_is_spoken_of_once_there_are_enough_days(published, days, known):
    frames = pool_frames()
    live = frames["predictions"]["prediction_date"] >= LAST - timedelta(days=days)
    frames["predictions"] = frames["predictions"][live]
    for figures in live_account(published(frames)).statistics.values():
        assert figures["total_return"] is not None
        assert all((figures[name] is not None) == known for name in OF_A_YEAR)


def test_the_news_are_signals_decisions_and_what_came_due(published):
    frames = pool_frames()
    frames["promotions"] = pd.DataFrame(
        [{"as_of": day, "decided_at_utc": f"{day}T01:00", "symbol": "BTC", "trend": "uptrend",
          "decision": "promoted", "algorithm": "XGBoost", "model_version": 3, "reason": "new"}
         for day in (LAST, LAST - timedelta(days=1))]
        + [{"as_of": LAST, "decided_at_utc": f"{LAST}T02:00", "symbol": "BTC", "trend": "downtrend",
            "decision": "kept", "reason": "young"}]
    )  # fmt: skip
    due = frames["prediction_outcomes"]["prediction_date"] == LAST - timedelta(days=HORIZON)
    frames["prediction_outcomes"]["late"] = due & (frames["prediction_outcomes"]["symbol"] == "ETH")
    news = latest_changes(published(frames))
    assert news.since == LAST - timedelta(days=1)
    assert sorted(news.begun) == ["BTC_downtrend", "BTC_uptrend", "ETH_uptrend"]
    assert news.ended == []
    assert {row["member"] for row in news.moved} == set(news.begun)
    assert [row["decision"] for row in news.decisions] == ["promoted"]
    assert news.stayed == 1
    assert news.due["day"] == LAST - timedelta(days=HORIZON)
    assert news.due["signals"] == 2  # the third was made late


def test_a_pool_of_one_day_has_no_news_and_no_account(published):
    frames = pool_frames()
    frames["predictions"] = frames["predictions"].query("prediction_date == @LAST")
    cursor = published(frames)
    assert latest_changes(cursor) is None
    assert live_account(cursor) is None
