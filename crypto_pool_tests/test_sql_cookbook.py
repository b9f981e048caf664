"""Every query of the cookbook runs, and the ones about the ledger answer rightly."""

import re
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.prediction_tables import publish, query

PAGE = Path(__file__).parents[1] / "docs" / "sql-cookbook.md"
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


def test_the_version_that_served_on_a_day_is_one_query(folder):
    sql = QUERIES[0]
    assert query(folder, sql)["serving_version"].tolist() == [1]
    next_day = sql.replace("2024-03-02", "2024-03-03")
    assert query(folder, next_day)["serving_version"].tolist() == [3]
    assert query(folder, sql.replace("2024-03-02", "2024-01-01")).empty
