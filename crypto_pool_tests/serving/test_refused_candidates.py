"""Which gate a candidate did not pass, and why nobody serves: told in the API and on the page."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool_tests.pool_frames import LAST, pool_frames
from crypto_pool_tests.serving.conftest import Served


def test_a_member_without_champion_says_what_was_decided(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    decision = {
        "decided_at_utc": pd.Timestamp(LAST) + pd.Timedelta(hours=26),
        "as_of": LAST,
        "symbol": "ETH",
        "trend": "downtrend",
        "decision": "rejected",
        "reason": "none of 3 candidates passed the gates; nobody serves",
    }
    publish(tmp_path, {**pool_frames(), "promotions": pd.DataFrame([decision])})
    served = serve(tmp_path)
    answer = served.get("/prediction?symbol=ETH&trend_type=downtrend")
    assert (answer.status_code, answer.json()["error"]) == (404, "no_champion")
    assert answer.json()["message"] == (
        "ETH_downtrend has no champion: none of 3 candidates passed the gates; nobody serves, "
        "as of 2026-11-23; see /members/ETH_downtrend"
    )
    assert "<strong>rejected</strong>: none of 3" in served.get("/members/ETH_downtrend.html").text
    untrained = served.get("/prediction?symbol=SOL&trend_type=uptrend").json()["message"]
    assert "train it with `crypto-pool train`" in untrained


def test_a_member_without_a_forecast_says_why_there_is_none(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    """The cause, wherever one asks: not that a champion, which would not help, is lacking."""
    frames, day = pool_frames(), pd.Timestamp(LAST)
    why = "2026-11-21 is missing; the reference begins again 61 days after it"
    told = {"prediction_date": day, "symbol": "SOL", "trend": "uptrend", "reason": why}
    frames["missing_forecasts"] = pd.DataFrame([{**told, "has_bar": True}])
    publish(tmp_path, frames)
    served = serve(tmp_path)
    answer = served.get("/prediction?symbol=SOL&trend_type=uptrend")
    assert (answer.status_code, answer.json()["message"]) == (404, why)
    assert served.get("/members/SOL_uptrend").json()["state"]["why_no_forecast"] == why
    assert served.get("/members/BTC_uptrend").json()["state"]["why_no_forecast"] is None
    assert why in served.get("/members/SOL_uptrend.html").text


def test_a_candidate_is_told_which_gate_it_does_not_pass(pool: Served) -> None:
    failed = "recall 0.412, more than 0.5 is needed"
    candidates = pool.get("/members/BTC_uptrend").json()["candidates"]
    told = {candidate["algorithm"]: candidate["reason"] for candidate in candidates}
    assert told == {"RidgeClassifier": "", "XGBoost": failed, "SupportVectorMachine": ""}
    assert f'<td class="reason">{failed}</td>' in pool.get("/members/BTC_uptrend.html").text


def test_brier_scores_have_the_digits_that_tell_candidates_apart(pool: Served) -> None:
    page = pool.get("/members/BTC_uptrend.html").text
    assert '<td class="number">0.1400</td><td class="number">0.1500</td>' in page
