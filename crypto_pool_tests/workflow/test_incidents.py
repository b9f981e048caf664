"""What an incident is, and what the digest of a day says."""

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.members import Member, Trend
from crypto_pool.workflow.incidents import (
    daily_digest,
    ended_service,
    failed_run,
    late_forecasts,
    quarantines,
    silent_coins,
)


def test_an_exhausted_quota_is_one_incident_a_day_whatever_runs_it_fails():
    quota = "daily_bars [BTC]: DailyQuotaExhausted: 25 requests used"
    other = "daily_bars [ETH]: NoData: no row"
    first = failed_run("r1", "job", "2023-06-01", [quota, other, other], date(2023, 6, 2))
    second = failed_run("r2", "job", "", [quota], date(2023, 6, 2))
    assert [alert.key for alert in first] == ["quota:2023-06-02", "run:r1"]
    assert first[1].text == f"job for 2023-06-01 failed (run r1):\n{other}"
    assert [alert.key for alert in second] == ["quota:2023-06-02"]


def test_the_digest_tells_the_signals_what_came_due_and_the_promise(tmp_path):
    store = FrameStore(str(tmp_path))
    day = date(2023, 6, 11)
    assert daily_digest(store, day, 10) == []
    members = {"symbol": ["BTC", "ETH"], "trend": ["uptrend", "uptrend"]}
    forecasts = pd.DataFrame({**members, "signal": [True, None], "probability": [0.71, 0.4]})
    store.write("daily_predictions", "2023-06-11", forecasts)
    rows = [("BTC", True, 1.0), ("ETH", True, 0.0), ("A", True, None), ("B", False, 1.0)]
    due = pd.DataFrame([*rows, ("C", None, 1.0)], columns=["symbol", "signal", "outcome"])
    outcomes = due.assign(trend="uptrend")
    store.write("prediction_outcomes", "2023-06-01", outcomes)
    review = {"symbol": "all", "trend": "all", "precision": 0.6, "precision_low": 0.5}
    review |= {"precision_high": 0.7, "promised_precision": 0.72}
    store.write("realised_performance", "2023-06-11", pd.DataFrame([review]))
    (told,) = daily_digest(store, day, 10)
    assert told.text == (
        "2023-06-11: 1 signals of 2 members: BTC_uptrend 0.71; of 2023-06-01, 1 of 2 signals came "
        "true; precision so far 0.60 (0.50 to 0.70), promised 0.72: not kept"
    )


def test_a_quarantine_is_told_for_thirty_days():
    btc, eth = Member("BTC", Trend.UPTREND), Member("ETH", Trend.DOWNTREND)
    rows = [
        ("quarantined", "4", datetime(2023, 6, 1, 8), "worse"),
        ("quarantined", "3", datetime(2023, 6, 1, 7, 59), "older"),
        ("promoted", "5", datetime(2023, 6, 20, 8), "better"),
    ]
    names = ["decision", "model_version", "decided_at_utc", "reason"]
    decisions = {btc: pd.DataFrame(rows, columns=names), eth: pd.DataFrame(columns=names)}
    (told,) = quarantines(decisions, datetime(2023, 7, 1, 8, tzinfo=UTC))
    assert told.key == "quarantine:BTC_uptrend:2023-06-01 08:00:00"
    assert told.text == "BTC_uptrend: version 4 is quarantined: worse"


@pytest.mark.parametrize(("hour", "days"), [(5, ["2023-06-10"]), (6, ["2023-06-10", "2023-06-11"])])
def test_forecasts_of_the_last_two_days_are_late_once_they_were_due(hour, days):
    names = {"ETH_uptrend", "BTC_uptrend"}
    pending = {date(2023, 6, number): names for number in (9, 10, 11)}
    told = late_forecasts(
        pending,
        date(2023, 6, 11),
        lambda day: datetime(day.year, day.month, day.day + 1, 6, tzinfo=UTC),
        datetime(2023, 6, 12, hour, tzinfo=UTC),
    )
    assert [alert.key for alert in told] == [f"late forecast:{day}" for day in days]
    assert told[0].text.startswith(
        "forecasts of 2023-06-10 are missing for BTC_uptrend, ETH_uptrend, due at 2023-06-11 06:00 "
    )


def test_a_coin_is_silent_after_a_week_without_a_bar():
    last = {"OLD": date(2023, 6, 1), "SLOW": date(2023, 6, 4), "NEW": date(2023, 6, 5)}
    told = silent_coins(last, date(2023, 6, 11))
    assert [alert.key for alert in told] == ["silent:OLD:2023-06-01", "silent:SLOW:2023-06-04"]
    assert "`crypto-pool retire SLOW`" in told[1].text


def test_a_service_that_dies_is_one_incident_an_hour():
    keys = [
        ended_service("daemon", "died", datetime(2023, 6, 1, hour, minute))[0].key
        for hour, minute in ((7, 1), (7, 59), (8, 0))
    ]
    assert keys == ["service:daemon:2023-06-01T07"] * 2 + ["service:daemon:2023-06-01T08"]


def test_a_run_that_failed_for_no_known_reason_is_told_too():
    (told,) = failed_run("r1", "job", "", [], date(2023, 6, 2))
    assert (told.key, told.text) == (
        "run:r1",
        "job failed (run r1):\nits log in the Dagster UI says why",
    )


@pytest.mark.parametrize(
    ("high", "promised", "kept"),
    [
        (0.73, 0.72, ["kept"]),
        (0.72, 0.72, ["kept"]),
        (0.71, 0.72, ["not kept"]),
        (None, 0.72, []),
        (0.71, None, []),
    ],
    ids=str,
)
def test_the_digest_of_a_quiet_day_says_so(tmp_path, high, promised, kept):
    store, members = FrameStore(str(tmp_path)), {"symbol": ["BTC"], "trend": ["uptrend"]}
    forecasts = pd.DataFrame({**members, "signal": [False], "probability": [0.3]})
    store.write("daily_predictions", "2023-06-11", forecasts)
    review = {"precision": 0.6, "precision_low": high and 0.5, "precision_high": high}
    reviews = [
        {"symbol": "BTC", "precision": 0.1, "precision_low": 0.1, "precision_high": 0.1},
        {"symbol": "all", **review},
    ]
    rows = pd.DataFrame(reviews).assign(trend="all", promised_precision=promised)
    store.write("realised_performance", "2023-06-11", rows)
    (told,) = daily_digest(store, date(2023, 6, 11), 10)
    assert told.key == "digest:2023-06-11"
    first, *others = told.text.split("; ")
    assert first == "2023-06-11: 0 signals of 1 members"
    assert [one.rpartition(": ")[2] for one in others] == kept
