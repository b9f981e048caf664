"""What stored tables refer to is known, and raw answers go by their day."""

from datetime import date

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.workflow.retention import (
    referred_dagster_runs,
    referred_model_runs,
    remove_old_answers,
)


def test_what_tables_refer_to_is_found(tmp_path):
    store = FrameStore(str(tmp_path))
    assert referred_model_runs(store) == referred_dagster_runs(store) == frozenset()
    member = {"symbol": "BTC", "trend": "uptrend"}
    day = pd.Timestamp("2023-05-01")
    for table, key, row in (
        ("candidate_scores", "BTC|uptrend", {"algorithm": ["a", "b"], "run_id": ["m1", None]}),
        ("champions", "BTC|uptrend", {"run_id": ["m2"]}),
        ("daily_predictions", "2023-05-01", {"prediction_date": [day], "dagster_run_id": ["d1"]}),
        ("promotions", "BTC|uptrend", {"decided_at_utc": [day], "dagster_run_id": ["d2"]}),
    ):
        store.write(table, key, pd.DataFrame(row).assign(**member))
    assert referred_model_runs(store) == {"m1", "m2"}
    assert referred_dagster_runs(store) == {"d1", "d2"}


def test_old_answers_go_by_their_day(tmp_path):
    for name in ("2023-04-30", "2023-05-01", "2023-05-02", "2023-05-03", ".locks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "BTC.json.gz").write_bytes(b"x")
    assert remove_old_answers(tmp_path, date(2023, 5, 2)) == 2
    kept = [".locks", "2023-05-02", "2023-05-03"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    assert remove_old_answers(tmp_path / "none", date(2023, 5, 2)) == 0
