"""What a killed process left of its Dagster runs is ended; what a living one does goes on."""

import dagster as dg

from crypto_pool.building import BEGUN, open_instance, recover, this_process
from crypto_pool.defs.run_tags import PROCESS_TAG
from crypto_pool.settings import Settings
from crypto_pool_tests.adapters.conftest import empty_store  # a fixture

__all__ = ["empty_store"]
GONE = "999999999:1"


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def idle() -> None:
    """A job that is never run."""
    nothing()


def test_runs_of_a_process_that_is_gone_are_ended_whatever_they_had_begun(
    tmp_path, monkeypatch, empty_store
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "data" / "mlflow").mkdir(parents=True)
    (tmp_path / "data" / "mlflow" / "mlflow.db").write_bytes(empty_store)
    settings = Settings(dagster_home=tmp_path)
    with open_instance(settings) as instance:

        def begin(status: dg.DagsterRunStatus, owner: str | None) -> str:
            tags = {} if owner is None else {PROCESS_TAG: owner}
            return instance.create_run_for_job(idle, status=status, tags=tags).run_id

        gone = {begin(status, GONE) for status in BEGUN}
        alive = {begin(status, this_process()) for status in BEGUN}
        of_nobody = begin(dg.DagsterRunStatus.NOT_STARTED, None)
        assert set(recover(instance, settings)) == gone
        unfinished = {run.run_id for run in instance.get_runs() if not run.is_finished}
        assert unfinished == {*alive, of_nobody}
        assert recover(instance, settings) == []
