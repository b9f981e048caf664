"""Every query of the cookbook runs, and the ones about the ledger answer rightly."""

import re

import pandas as pd
import pytest

from crypto_pool.adapters.prediction_tables import publish, query
from crypto_pool_tests.conftest import ROOT
from crypto_pool_tests.pool_frames import LAST, pool_frames

PAGE = ROOT / "docs" / "sql-cookbook.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


def decision(day: str, version: int, serving: int, decided: str) -> dict[str, object]:
    return {
        "decided_at_utc": pd.Timestamp(day),
        "symbol": "BTC",
        "trend": "uptrend",
        "model_version": version,
        "decision": decided,
        "serving_version": serving,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("cookbook")
    rows = [
        decision("2024-01-02 01:00", 1, 1, "promoted"),
        decision("2024-03-02 23:00", 2, 1, "kept"),
        decision("2024-03-03 00:00", 3, 3, "promoted"),
    ]
    other = {**rows[0], "trend": "downtrend", "serving_version": 9}
    publish(made, {"promotions": pd.DataFrame([*rows, other])})
    return made


@pytest.mark.parametrize("sql", QUERIES)
def test_every_query_runs(folder, sql):
    assert len(query(folder, sql).columns) > 0


@pytest.mark.parametrize(
    ("day", "served"), [("2024-01-01", []), ("2024-03-02", [1]), ("2024-03-03", [3])]
)
def test_the_version_that_served_on_a_day_is_one_query(folder, day, served):
    today = "timezone('UTC', now())::DATE"
    assert today in QUERIES[0]
    sql = QUERIES[0].replace(today, f"DATE '{day}'")
    assert query(folder, sql)["serving_version"].tolist() == served


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A pool with forecasts whose fate is known."""
    made = tmp_path_factory.mktemp("filled")
    frames = pool_frames()
    dates = pd.date_range(end=LAST, periods=3)
    frames["feature_tables"] = pd.DataFrame({"symbol": "BTC", "date": dates, "PPO": [1.0, 2, 3]})
    publish(made, frames)
    return made


def asked(folder, words):
    (sql,) = [one for one in QUERIES if words in one]
    return query(folder, sql)


def test_today_lists_signals_first_beside_the_reference(filled):
    today = asked(filled, "FROM today")
    assert len(today) == 3
    assert today["signal"].is_monotonic_decreasing
    assert today["beyond_reference"].iloc[0] == pytest.approx(
        today["probability"].iloc[0] - today["reference_probability"].iloc[0], abs=1e-4
    )
    assert asked(filled, "AS skill\n")["skill"].tolist() == pytest.approx([0.2] * 3)


def test_members_stand_once_each_with_their_promise_and_latest_forecast(filled):
    members = asked(filled, "FROM members")
    assert not members.duplicated(["symbol", "trend"]).any()
    served = members.dropna(subset=["promised_precision"])
    assert (served["promised_precision"] == 0.66).all()
    today = asked(filled, "FROM today").set_index(["symbol", "trend"])["probability"]
    said = members.set_index(["symbol", "trend"]).loc[today.index, "probability"]
    assert said.tolist() == pytest.approx(today.tolist(), abs=1e-4)


def test_the_track_record_is_the_latest_review_of_each_member(tmp_path):
    member = {"symbol": "BTC", "trend": "uptrend"}
    reviews = [{**member, "as_of": day, "rows": n} for day, n in (("2024-01-01", 1), (LAST, 9))]
    publish(tmp_path, {"realised_performance": pd.DataFrame(reviews)})
    assert asked(tmp_path, "FROM track_record")["rows"].tolist() == [9]


def test_calibration_buckets_hold_every_live_forecast(filled):
    buckets = asked(filled, "came_true")
    live = query(filled, "SELECT count(*) AS n FROM prediction_outcomes WHERE NOT in_sample")
    assert buckets["forecasts"].sum() == live["n"].iloc[0]
    assert ((buckets["forecast"] - buckets["bucket"]).between(0, 0.1)).all()


def test_inputs_features_and_bars_are_found(filled):
    assert asked(filled, "map_entries").to_dict("records") == [
        {"symbol": "BTC", "feature": "7_day_RSI", "value": 61.0}
    ]
    assert asked(filled, "FROM feature_tables\nWHERE")["PPO"].tolist() == [3.0]
    bars = asked(filled, "FROM daily_bars")
    assert len(bars) == 30
    assert bars["date"].iloc[0] == pd.Timestamp(LAST)
