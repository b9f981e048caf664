"""The commands that read: as a table for people, as one JSON document for programs."""

import json

import pytest

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool_tests.serving.pool_frames import LAST, pool_frames


@pytest.fixture(scope="module")
def pool(new_pool):
    made = new_pool(symbols="BTC,ETH")
    publish(made.data, pool_frames())
    return made


def test_query_gives_json_with_null_for_what_is_undefined(pool):
    asked = pool.run("query", "--json", f"SELECT DATE '{LAST}' AS day, NULL::DOUBLE AS nothing")
    assert asked.returncode == 0, asked.stderr
    (row,) = json.loads(asked.stdout)
    assert row["day"].startswith(LAST.isoformat())
    assert row["nothing"] is None


def test_status_is_a_table_or_one_document(pool):
    said = json.loads(pool.run("status", "--json").stdout)
    assert said["without_champion"] == ["ETH_downtrend"]
    assert len(said["members"]) == 3
    assert said["members"][0]["prediction_date"].startswith(LAST.isoformat())
    assert "ETH_downtrend" in pool.run("status").stdout


def test_a_wrong_option_is_a_usage_message(pool):
    wrong = pool.run("query", "--jsn", "SELECT 1")
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_completion_is_offered(pool):
    offered = pool.run("--show-completion", "bash")
    assert "_CRYPTO_POOL_COMPLETE" in offered.stdout, offered.stderr
