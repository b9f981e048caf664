"""What an incident is, and what the digest of a day says."""

from datetime import date

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.workflow.incidents import daily_digest, failed_run


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
    outcomes = pd.DataFrame({**members, "signal": [True, True], "outcome": [1.0, 0.0]})
    store.write("prediction_outcomes", "2023-06-01", outcomes)
    review = {"symbol": "all", "trend": "all", "precision": 0.6, "precision_low": 0.5}
    review |= {"precision_high": 0.7, "promised_precision": 0.72}
    store.write("realised_performance", "2023-06-11", pd.DataFrame([review]))
    (told,) = daily_digest(store, day, 10)
    assert told.text == (
        "2023-06-11: 1 signals of 2 members: BTC_uptrend 0.71; of 2023-06-01, 1 of 2 signals came "
        "true; precision so far 0.60 (0.50 to 0.70), promised 0.72: not kept"
    )
