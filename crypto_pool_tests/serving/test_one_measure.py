"""Page, API, status, review and a query by hand tell one realised precision."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger, Promotion
from crypto_pool.adapters.prediction_tables import publish, query
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.review import ReviewRules
from crypto_pool.domain.tables import REALISED_PERFORMANCE
from crypto_pool.serving.pages import UNIT
from crypto_pool.workflow.reviewing import Outcomes, Reviewer
from crypto_pool_tests.pool_frames import LAST, pool_frames
from crypto_pool_tests.serving.conftest import NOW, Served
from crypto_pool_tests.stored_days import write_days

MEMBER = Member("BTC", Trend.UPTREND)
# Fifty signals of version 1, promised at 0.8, then thirty of its successor, promised at 0.5.
PROMISED = {"1": 0.8, "2": 0.5}
BY_HAND = """
    SELECT count(*) AS signals, avg(outcome) AS precision,
           count(DISTINCT prediction_date) / 20 AS windows
    FROM prediction_outcomes
    WHERE symbol = 'BTC' AND trend = 'uptrend' AND signal AND status = 'active'
      AND NOT late AND NOT in_sample
"""


def decided(version: str) -> Promotion:
    return Promotion(
        decided_at_utc=NOW - timedelta(days=200 - int(version)),
        as_of=LAST - timedelta(days=200),
        member=MEMBER,
        model_version=version,
        algorithm="LightGBM",
        decision="promoted",
        serving_version=version,
        reason="",
        champion_metrics={},
        challenger_metrics={
            "promised": {"precision": 0.99, "promised_precision": PROMISED[version]}
        },
        data_hash=version,
        code_version="c",
        dagster_run_id="r",
    )


@pytest.fixture(scope="module")
def pool(new_pool):
    """A pool with abstained, late and in-sample rows, all wrong, and a champion replaced since."""
    made = new_pool(symbols="BTC,ETH", simulated_now="2026-11-25T09:00:00Z")
    store = FrameStore(str(made.data / "reviewed"))
    days = 110
    rows = pd.DataFrame(
        {
            "prediction_date": pd.date_range(end=LAST - timedelta(days=10), periods=days).date,
            "symbol": MEMBER.symbol,
            "trend": str(MEMBER.trend),
            "probability": 0.7,
            "signal": True,
            "reference_probability": 0.6,
            "status": "active",
            "late": False,
            "in_sample": False,
            "model_version": ["1"] * 80 + ["2"] * 30,
            "outcome": (np.arange(days) % 4 != 0).astype(float),
            "inside_range": np.arange(days) % 8 != 0,
        }
    )
    rows.loc[:9, ["status", "outcome"]] = "abstain", 0.0
    rows.loc[10:19, ["late", "outcome"]] = True, 0.0
    rows.loc[20:29, ["in_sample", "outcome"]] = True, 0.0
    write_days(store, "prediction_outcomes", rows)
    for version in PROMISED:
        Ledger(store).record(decided(version))
    reviewer = Reviewer(store, None, ReviewRules(), LAST, NOW, "review")
    outcomes = Outcomes.read(store, Ledger(store).by_member(), LAST, ReviewRules())
    row = reviewer.review(MEMBER, outcomes, pd.DataFrame())
    reviewed = REALISED_PERFORMANCE.frame([reviewer.review_pool(outcomes, [row]), row])
    publish(
        made.data,
        {**pool_frames(), "prediction_outcomes": rows, "realised_performance": reviewed},
    )
    return made


def test_the_same_number_stands_everywhere(pool, serve: Callable[..., Served]) -> None:
    data = pool.data
    hand = query(data, BY_HAND).iloc[0]
    assert hand["signals"] == 80
    served = serve(data)
    member = served.get("/members/BTC_uptrend").json()["state"]["record"]
    whole = served.get("/pool").json()["record"]
    review = query(data, "SELECT * FROM track_record WHERE symbol = 'BTC'").iloc[0]
    said = json.loads(pool.ask("status", "--json").stdout)
    btc = next(row for row in said["members"] if row["trend"] == "uptrend")
    found = {
        "API, member": (member["signals"], member["realised_precision"]),
        "API, pool": (whole["signals"], whole["realised_precision"]),
        "review": (review["signals"], review["precision"]),
        "status, member": (btc["live_signals"], btc["realised_precision"]),
        "status, pool": (said["record"]["signals"], said["record"]["precision"]),
    }
    for where, told in found.items():
        assert told == (hand["signals"], pytest.approx(hand["precision"])), where


def test_the_share_inside_the_range_stands_beside_the_promised_one(
    pool, serve: Callable[..., Served]
) -> None:
    served = serve(pool.data)
    view = query(pool.data, "SELECT * FROM members WHERE symbol = 'BTC' AND trend = 'uptrend'")
    assert view[["inside_range", "promised_inside"]].iloc[0].to_list() == [0.875, 0.8]
    for record in (
        served.get("/members/BTC_uptrend").json()["state"]["record"],
        served.get("/pool").json()["record"],
    ):
        assert record["inside_range"] == 0.875
    for page in ("/", "/members/BTC_uptrend.html"):
        assert f"<dt>Outcomes in the 80&nbsp;% range</dt><dd>88{UNIT}" in served.get(page).text


def test_the_page_says_it_with_the_promise_of_whoever_made_the_forecasts(
    pool, serve: Callable[..., Served]
) -> None:
    hand = query(pool.data, BY_HAND).iloc[0]
    page = serve(pool.data).get("/").text
    assert f"<strong>{100 * hand['precision']:.0f}{UNIT}</strong> came true" in page
    promised = (50 * PROMISED["1"] + 30 * PROMISED["2"]) / 80
    assert f"<strong>{100 * promised:.0f}{UNIT}</strong> were promised" in page
    assert f"about {hand['windows']:.0f} separate windows" in page
    assert "1 members better than the reference" in page


def test_the_page_says_of_whose_record_a_review_speaks(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    """The figures above it are the member's, whoever served; a new version's record is empty."""
    frames, reason = pool_frames(), "too few to tell: 0.0 separate label windows, 5 needed"
    publish(
        tmp_path,
        {**frames, "realised_performance": frames["realised_performance"].assign(reason=reason)},
    )
    served = serve(tmp_path)
    assert f"On the record of the version that serves alone: {reason}." in (
        served.get("/members/BTC_uptrend.html").text
    )
    assert f"T{reason[1:]}." in served.get("/").text
