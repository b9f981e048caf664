"""A file that a champion rests on, spoilt by a hand, is its member's fault alone."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.mlflow.store import local_path
from crypto_pool.domain.tables import PREDICTIONS
from crypto_pool.errors import ModelUnavailable
from crypto_pool.workflow.day_rows import stored_rows
from crypto_pool.workflow.promotion.rolling_back import roll_back
from crypto_pool_tests.workflow.small_pool import (
    FIRST,
    MEMBER,
    REFRESHED,
    SECOND,
    forecast,
    noon_after,
)


def remove(path):
    path.unlink()


def make_folder(path):
    path.unlink()
    path.mkdir()


def dangle(path):
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def replace_by_foreign_rows(path):
    pd.DataFrame({"x": [1.0]}).to_parquet(path)


@pytest.mark.parametrize("spoil", [remove, make_folder, dangle, replace_by_foreign_rows])
@pytest.mark.parametrize("what", ["snapshot", "model"])
def test_a_file_that_the_champion_rests_on_is_its_fault_and_any_training_mends_it(
    pool, what, spoil
):
    version = pool.champion.version
    file = Path(pool.store.path("training_snapshots", version.tags["data_hash"]))
    if what == "model":
        [file] = (local_path(version.location) / "artifacts").glob("estimator*")
    spoil(file)
    result = forecast(pool, SECOND)
    [row] = result.made
    assert (row["status"], row["signal"]) == ("abstain", False)
    assert result.failures[MEMBER.name] in row["abstain_reason"]
    decision = pool.appoint(SECOND)
    assert decision.decision == "replaced"
    assert pool.serving == "2"
    assert forecast(replace(pool), SECOND).failures == {}


def test_a_rollback_refuses_a_version_without_the_rows_of_its_training(pool):
    pool.appoint(SECOND, REFRESHED)
    before = pool.registry.versions.get(MEMBER.name, pool.champion.standing.previous)
    pool.store.remove("training_snapshots", before.tags["data_hash"])
    with pytest.raises(ModelUnavailable, match="version 1 lacks the rows of its training"):
        roll_back(pool.store, pool.registry, MEMBER, None, SECOND, noon_after(SECOND))
    assert pool.serving == "2"


def test_lost_training_rows_come_back_with_the_training_that_they_were_of(pool):
    pool.store.remove("training_snapshots", pool.champion.version.tags["data_hash"])
    assert pool.appoint(FIRST).decision == "serves"
    [row] = forecast(pool, SECOND).made
    assert row["status"] == "active"


def test_a_damaged_version_in_the_shadow_is_named_and_fails_no_day(pool):
    pool.appoint(SECOND, REFRESHED)
    shadow = pool.registry.versions.get(MEMBER.name, pool.champion.standing.previous)
    (local_path(shadow.location) / "artifacts" / "calibration.json").write_bytes(b"")
    result = forecast(pool, SECOND, shadows={MEMBER: [shadow]})
    assert (len(result.made), result.shadows, result.failures) == (1, [], {})
    assert "calibration.json is not what was logged" in result.without_shadow[MEMBER.name]


def test_a_damaged_ledger_leaves_the_stored_row_and_is_named(pool):
    assert [row["status"] for row in forecast(pool, SECOND).made] == ["active"]
    [key] = pool.store.keys("promotions")
    Path(pool.store.path("promotions", key)).write_bytes(b"half")
    result = forecast(pool, SECOND)
    assert f"promotions/{MEMBER.partition_key}".replace("|", "%7C") in result.failures[MEMBER.name]
    [row] = stored_rows(pool.store, PREDICTIONS, SECOND.isoformat())
    assert (row["status"], row["model_version"]) == ("active", "1")
    assert [row["status"] for row in forecast(pool, FIRST).made] == ["baseline"]
