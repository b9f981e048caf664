"""What a killed process left of its Dagster runs is ended; what a living one does goes on."""

import socket

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from crypto_pool import recovery
from crypto_pool.building import open_instance
from crypto_pool.defs.run_tags import PROCESS_TAG
from crypto_pool.recovery import (
    BEGUN,
    CODE_SERVER_TAG,
    Owner,
    record_daemon_host,
    recover,
    this_process,
    worker_of,
)
from crypto_pool.settings import Settings
from crypto_pool_tests.adapters.conftest import empty_store  # a fixture

__all__ = ["empty_store"]
GONE = str(Owner(socket.gethostname(), 999_999_999, 1))
LAUNCHED = {CODE_SERVER_TAG: '{"host": "localhost", "socket": "/tmp/code-server"}'}


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def idle() -> None:
    """A job that is never run."""
    nothing()


@pytest.fixture
def settings(tmp_path, monkeypatch, empty_store) -> Settings:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "data" / "mlflow").mkdir(parents=True)
    (tmp_path / "data" / "mlflow" / "mlflow.db").write_bytes(empty_store)
    return Settings(dagster_home=tmp_path)


def begin(
    instance: dg.DagsterInstance,
    tags: dict[str, str],
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
) -> dg.DagsterRun:
    return instance.create_run_for_job(idle, status=status, tags=tags)


def launch(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    """Begin a run whose worker has said who it is, and is gone."""
    run = begin(instance, tags)
    instance.report_engine_event("begun", run, EngineEventData.in_process(999_999_999))
    return run.run_id


def test_runs_of_a_process_that_is_gone_are_ended_whatever_they_had_begun(settings):
    with open_instance(settings) as instance:
        gone = {begin(instance, {PROCESS_TAG: GONE}, status).run_id for status in BEGUN}
        mine = {PROCESS_TAG: this_process()}
        alive = {begin(instance, mine, status).run_id for status in BEGUN}
        of_nobody = begin(instance, {}, dg.DagsterRunStatus.NOT_STARTED).run_id
        assert set(recover(instance, settings)) == gone
        unfinished = {run.run_id for run in instance.get_runs() if not run.is_finished}
        assert unfinished == {*alive, of_nobody}
        assert recover(instance, settings) == []


def test_a_run_of_another_host_is_left_alone(settings):
    with open_instance(settings) as instance:
        begin(instance, {PROCESS_TAG: str(Owner("elsewhere", 999_999_999, 1))})
        assert recover(instance, settings) == []
        older = begin(instance, {PROCESS_TAG: "999999999:1"}).run_id  # names no host
        assert recover(instance, settings) == [older]


def test_a_worker_is_judged_only_where_this_host_launches_them(settings, monkeypatch):
    with open_instance(settings) as instance:
        pod = launch(instance, {})  # a launcher of other machines names no code server
        served = launch(instance, {CODE_SERVER_TAG: '{"host": "code-server", "port": 3030}'})
        launched = launch(instance, LAUNCHED)
        with monkeypatch.context() as other:
            other.setattr(recovery.socket, "gethostname", lambda: "elsewhere")
            record_daemon_host(instance)
        assert recover(instance, settings) == []
        record_daemon_host(instance)
        assert recover(instance, settings) == [launched]
        unfinished = {run.run_id for run in instance.get_runs() if not run.is_finished}
        assert unfinished == {pod, served}
        assert worker_of(instance, pod).pid == 999_999_999


def test_an_owner_is_read_from_the_tag_it_gives():
    owner = Owner("a.host", 12, 34.0)
    assert Owner.parse(str(owner)) == owner
    assert not Owner.parse(this_process()).is_gone()
    assert Owner.parse(this_process())._replace(known_at=1).is_gone()  # another has its number now
