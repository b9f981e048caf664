"""Old runs and answers go; a run that a partition or a table rests on stays."""

import shutil
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from crypto_pool.defs.retention import clean_up, remove_old_runs
from crypto_pool.settings import load_settings
from crypto_pool_tests.conftest import ROOT

LATER = datetime.now(UTC) + timedelta(days=1)
EARLIER = datetime.now(UTC) - timedelta(days=1)


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def numbers() -> None:
    """An asset of two partitions."""


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def idle() -> None:
    """A job without an asset."""
    nothing()


def test_runs_go_but_for_those_that_a_partition_or_a_table_rests_on(tmp_path):
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        superseded, latest, other = (
            dg.materialize([numbers], instance=instance, partition_key=key).run_id
            for key in ("a", "a", "b")
        )
        named, unnamed = (idle.execute_in_process(instance=instance).run_id for _ in range(2))
        assert remove_old_runs(instance, frozenset([named]), EARLIER) == 0
        assert remove_old_runs(instance, frozenset([named]), LATER) == 2
        assert {run.run_id for run in instance.get_runs()} == {latest, other, named}
        assert instance.get_materialized_partitions(numbers.key) == {"a", "b"}
        assert instance.get_latest_materialization_event(numbers.key).run_id == other
    left = {path.stem for path in (tmp_path / "history" / "runs").glob("*-*.db")}
    assert left == {latest, other, named}
    logs = {path.name for path in (tmp_path / "storage").iterdir()}
    assert not {superseded, unnamed} & logs
    assert {latest, other} <= logs


@pytest.fixture
def home(tmp_path, monkeypatch, empty_store):
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", tmp_path)
    (tmp_path / "data" / "mlflow").mkdir(parents=True)
    (tmp_path / "data" / "mlflow" / "mlflow.db").write_bytes(empty_store)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


def test_the_job_removes_answers_older_than_ninety_days(home):
    def answers() -> list[str]:
        return sorted(path.name for path in (home / "data" / "raw_answers").iterdir())

    from crypto_pool.definitions import defs

    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=age)).isoformat() for age in (0, 20, 200)]
    for day in days:
        (home / "data" / "raw_answers" / day).mkdir(parents=True)
    job = defs.resolve_job_def(clean_up.name)

    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert job.execute_in_process(instance=instance).success
    assert answers() == sorted(days[:2])
