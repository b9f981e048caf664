"""The JSON API, asked over a real connection."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.domain.tables import CHAMPIONS, PREDICTIONS
from crypto_pool.serving.schemas import Model, PerformanceMetrics, Prediction
from crypto_pool_tests.docs.test_links import PAGES
from crypto_pool_tests.pool_frames import DAYS, MEMBERS, pool_frames
from crypto_pool_tests.serving.conftest import ASKED, Served

NAMED = re.compile(r"`(/[a-z][\w/.]*(?:\?[^`]*)?)`")


def test_models_have_the_agreed_fields(pool: Served) -> None:
    models = pool.get("/models").json()
    assert [(model["symbol"], model["trend_type"]) for model in models] == MEMBERS
    first = models[0]
    assert first["performance_metrics"] == {
        "positive_accuracy": 0.71,
        "negative_accuracy": 0.83,
        "overall_score": 0.72,
        "accuracy": 0.79,
        "precision": 0.66,
    }
    assert first["feature_importance"]["7_day_RSI"] == 0.031
    assert (first["target_pct"], first["prediction_window_days"]) == (0.05, 10)
    assert first["skill_over_reference"] == pytest.approx(0.2)


def test_what_is_served_is_what_is_published() -> None:
    """A field without a column of its name would be null for ever, and nothing would say so."""
    derived = {"trend_type", "performance_metrics", "promised_verdict"}
    metrics = set(PerformanceMetrics.model_fields)
    assert (set(Model.model_fields) - derived) | metrics <= set(CHAMPIONS.names)
    derived = {
        "abstained", "added_points", "age_days", "expected_move", "prediction_probabilities",
        "promised_precision",
        "promised_precision_high", "promised_precision_low", "skill_over_reference", "stale",
        "stale_reason", "trend_type",
    }  # fmt: skip
    assert set(Prediction.model_fields) - derived <= set(PREDICTIONS.names)
    assert {"input_distance", "furthest_input"} <= set(PREDICTIONS.names)


def test_a_champion_without_a_forecast_says_what_it_forecasts(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    publish(tmp_path, {"champions": pool_frames()["champions"]})
    served = serve(tmp_path, provider="directory", market_data_dir=tmp_path)
    for model in served.get("/models").json():
        assert (model["target"], model["target_pct"]) == ("sma_shift", 0.05)
        assert (model["prediction_window_days"], model["synthetic"]) == (10, True)
    assert served.get("/pool").json()["synthetic"] is True


def test_drift_and_the_next_training_are_told(serve: Callable[..., Served], tmp_path: Path) -> None:
    frames = pool_frames()
    frames["predictions"].loc[frames["predictions"]["symbol"] == "ETH", "input_distance"] = np.inf
    frames["promotions"] = pd.DataFrame(
        [
            _decision("BTC", "uptrend", "promoted", "2026-10-01"),
            _decision("BTC", "uptrend", "kept", "2026-11-20"),
            _decision("BTC", "uptrend", "rolled back", "2026-11-22"),
            _decision("BTC", "uptrend", "kept", "2026-10-15", decided_on="2026-11-23"),
            _decision("BTC", "downtrend", "promoted", "2026-10-01"),
            _decision("ETH", "uptrend", "promoted", "2026-11-20"),
            _decision("ETH", "uptrend", "quarantined", "2026-11-22"),
            _decision("ETH", "downtrend", "rejected", "2026-11-21"),
        ]
    )
    publish(tmp_path, frames)
    told = {m["member"]: m for m in serve(tmp_path).get("/pool").json()["members"]}
    assert {name: member["drift"] for name, member in told.items()} == {
        "BTC_uptrend": "7_day_RSI 0.25 widths outside",
        "BTC_downtrend": "inside",
        "ETH_uptrend": "7_day_RSI never had another value",
        "ETH_downtrend": None,
        "SOL_uptrend": None,
        "SOL_downtrend": None,
    }
    assert {name: member["next_retrain"] for name, member in told.items()} == {
        "BTC_uptrend": "2026-12-20",  # 30 days after its last bar date trained, won or not
        "BTC_downtrend": "2026-11-23",  # overdue since October
        "ETH_uptrend": "2026-11-27",  # quarantined, after the cooldown
        "ETH_downtrend": "2026-11-28",  # nobody serves, after the cooldown
        "SOL_uptrend": "2026-11-23",
        "SOL_downtrend": "2026-11-23",
    }


def _decision(
    symbol: str, trend: str, decision: str, as_of: str, decided_on: str | None = None
) -> dict[str, Any]:
    day = pd.Timestamp(as_of)
    return {
        "decided_at_utc": pd.Timestamp(decided_on or as_of) + pd.Timedelta(hours=26),
        "as_of": day.date(),
        "symbol": symbol,
        "trend": trend,
        "decision": decision,
    }


def test_prediction_stands_beside_its_reference(pool: Served) -> None:
    answer = pool.get(ASKED).json()
    assert answer["prediction_probabilities"] == 0.62
    assert (answer["symbol"], answer["trend_type"]) == ("BTC", "uptrend")
    assert answer["reference_probability"] == 0.55
    assert answer["signal"] is True
    assert answer["prediction_date"] == "2026-11-23"
    assert (answer["age_days"], answer["stale"], answer["stale_reason"]) == (0, False, None)
    assert answer["top_contributions"] is None  # not stored, so not known
    assert pool.get("/prediction?symbol=btc&trend_type=uptrend").json() == answer


@pytest.mark.parametrize(
    ("path", "status", "code", "says"),
    [
        ("/prediction?symbol=SOL&trend_type=uptrend", 404, "no_champion", "SOL_uptrend"),
        (
            "/prediction?symbol=DOGE&trend_type=uptrend",
            404,
            "unknown_member",
            "DOGE is no coin of this pool, whose",
        ),
        ("/prediction?symbol=BTC&trend_type=sideways", 422, "invalid_request", "uptrend"),
        ("/prediction?symbol=BTC", 422, "invalid_request", "trend_type"),
        ("/members/DOGE_uptrend", 404, "unknown_member", "DOGE is no coin"),
        ("/members/DOGE", 422, "invalid_request", "member"),
        ("/prediction?symbol=币安人生&trend_type=uptrend", 404, "unknown_member", "币安人生 is no"),
        ("/members/币安人生_uptrend", 404, "unknown_member", "币安人生 is no coin"),
        ("/prediction?symbol=B/C&trend_type=uptrend", 422, "invalid_request", "symbol"),
        ("/prediction?symbol=\u00dfTC&trend_type=uptrend", 422, "invalid_request", "form of 'SS'"),
        ("/odds?symbol=\uff22TC&move=5", 422, "invalid_request", "another form of 'B'"),
        ("/predictions?symbol=\u0131otx", 422, "invalid_request", "another form of 'I'"),
        ("/members/\u00df_uptrend", 422, "invalid_request", "another form of 'SS'"),
        ("/predictions?start=2026", 422, "invalid_request", "query start: '2026' is no day"),
        ("/predictions?end=2026-11-31", 422, "invalid_request", "write it like 2026-11-23"),
        ("/?sort=x", 422, "invalid_request", "query sort: 'x' is no column to sort by"),
        (
            "/pool?x=1",
            422,
            "invalid_request",
            "query x: is no parameter of this path; it takes none",
        ),
        ("/predictions?end=1764460800", 422, "invalid_request", "query end: "),
        ("/predictions?limit=0", 422, "invalid_request", "limit"),
        ("/predictions?date=2026-11-23", 422, "invalid_request", "query date: is no parameter"),
        ("/models?symbol=BTC", 422, "invalid_request", "query symbol: is no parameter"),
        (
            "/prediction?symbol=BTC&symbol=SOL&trend_type=uptrend",
            422,
            "invalid_request",
            "query symbol: is given twice; it takes symbol, trend_type, each once",
        ),
        ("/nowhere", 404, "not_found", "/nowhere"),
    ],
)
def test_errors_have_one_shape(pool: Served, path: str, status: int, code: str, says: str) -> None:
    answer = pool.get(path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "message", "details"}
    assert answer.json()["error"] == code
    assert says in answer.json()["message"]
    assert "Value error" not in answer.text


@pytest.mark.parametrize("path", ["/", "/models", "/health", "/members/BTC_uptrend", "/nowhere"])
def test_a_monitor_that_asks_for_the_head_alone_is_answered_as_get_is(
    pool: Served, path: str
) -> None:
    head, whole = pool.client.head(path), pool.get(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert head.headers["content-length"] == str(len(whole.content))


def test_predictions_are_filtered_and_paged(pool: Served) -> None:
    asked = "/predictions?symbol=BTC&trend_type=downtrend&start=2026-11-01&end=2026-11-10"
    pages = [pool.get(f"{asked}&limit=4&offset={offset}").json() for offset in (0, 4, 8)]
    assert {page["total"] for page in pages} == {10}
    days = [row["prediction_date"] for page in pages for row in page["predictions"]]
    assert days == [f"2026-11-{day:02}" for day in range(10, 0, -1)]
    assert {row["trend_type"] for page in pages for row in page["predictions"]} == {"downtrend"}


def test_predictions_as_csv_are_those_of_json(pool: Served) -> None:
    answer = pool.get("/predictions?format=csv&limit=5&symbol=ETH")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["x-total-count"] == str(DAYS)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    page = pool.get("/predictions?limit=5&symbol=ETH").json()["predictions"]
    assert [float(row["probability"]) for row in rows] == [row["probability"] for row in page]
    assert rows[0]["outcome"] == ""  # pending


def test_a_record_counts_only_live_signals(pool: Served) -> None:
    """Rows more than 80 days old are in sample; the newest ten are not due."""
    member = pool.get("/members/BTC_uptrend").json()
    due = [
        row for row in member["predictions"] if row["outcome"] is not None and not row["in_sample"]
    ]
    signals = [row["outcome"] for row in due if row["signal"]]
    record = member["state"]["record"]
    assert (record["scored"], record["signals"]) == (71, 36)
    assert (len(due), len(signals)) == (71, 36)
    assert record["realised_precision"] == pytest.approx(sum(signals) / 36)
    whole = pool.get("/pool").json()
    assert whole["record"]["signals"] == 3 * 36
    assert whole["record"]["promised_precision"] == pytest.approx(0.66)
    assert [m["member"] for m in whole["members"] if m["champion"] is None] == [
        "ETH_downtrend", "SOL_uptrend", "SOL_downtrend",
    ]  # fmt: skip


def test_the_ledger_is_told_the_newest_first(serve: Callable[..., Served], tmp_path: Path) -> None:
    path = publish(tmp_path, pool_frames())
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            """CREATE TABLE IF NOT EXISTS promotions (decided_at_utc TIMESTAMP, symbol VARCHAR,
               trend VARCHAR, decision VARCHAR, reason VARCHAR, champion_metrics VARCHAR)"""
        )
        for day, decision in ((1, "promoted"), (9, "kept"), (5, "rejected")):
            connection.execute(
                """INSERT INTO promotions
                   (decided_at_utc, symbol, trend, decision, reason, champion_metrics)
                   VALUES (?, 'BTC', 'uptrend', ?, 'a reason', '{"precision": NaN}')""",
                [f"2026-11-{day:02} 02:00:00", decision],
            )
    served = serve(tmp_path)
    member = served.get("/members/BTC_uptrend").json()
    decisions = [entry["decision"] for entry in member["ledger"]]
    assert decisions == ["kept", "rejected", "promoted"]
    assert member["state"]["last_decision"]["decided_at_utc"] == "2026-11-09T02:00:00Z"
    assert member["ledger"][0]["champion_metrics"] == {"precision": None}
    assert served.get("/members/BTC_downtrend").json()["ledger"] == []


def test_metrics_count_requests_by_route(pool: Served) -> None:
    pool.get("/members/BTC_uptrend")
    pool.get("/members/nobody")
    text = pool.get("/metrics").text
    assert 'crypto_pool_http_requests_total{route="/members/{member}",status="200"}' in text
    assert "nobody" not in text
    assert 'crypto_pool_probability{symbol="BTC",trend="uptrend"} 0.62' in text


def test_each_address_that_a_page_of_docs_names_is_answered(pool: Served) -> None:
    named = {address for page in PAGES for address in NAMED.findall(page.read_text())}
    assert len(named) > 12
    asked = [address.replace("NAME", "BTC_uptrend") for address in named - {"/fail"}]
    answers = {address: pool.get(address).status_code for address in asked}
    there = {200, 308, 422}  # the last where a page names a path without what it asks for
    wrong = {one: code for one, code in answers.items() if code not in there - {422 * ("?" in one)}}
    assert wrong == {}
