"""What a killed process left of its Dagster runs is ended; what a living one does goes on."""

import json
import socket
import subprocess
import sys
from contextlib import suppress
from itertools import permutations
from time import monotonic

import dagster as dg
import psutil
import pytest
from dagster._core.events import EngineEventData

from crypto_pool import recovery
from crypto_pool.building import open_instance, pools_of
from crypto_pool.commands.happenings import Happenings
from crypto_pool.defs.run_tags import PROCESS_TAG
from crypto_pool.recovery import (
    BEGUN,
    CODE_SERVER_TAG,
    Owner,
    await_slots,
    end_lost_runs,
    left_by_dev,
    record_daemon_host,
    recover,
    this_process,
    up_lock,
    worker_of,
)
from crypto_pool.settings import Settings
from crypto_pool_tests.conftest import PATIENCE_SECONDS, PoolFolder
from drills._engines import free_port

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


HOLDER = """
import sys
from pathlib import Path
from crypto_pool.adapters.held_files import hold
held = [hold(Path(path)) for path in sys.argv[1:]]
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holding():
    """Start a process that holds files; what is returned kills it."""
    processes = []

    def start(*paths):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        processes.append(process)
        assert process.stdout.readline() == b"held\n"

        def kill():
            process.kill()
            process.wait()

        return kill

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@dg.op(pool="member_training")
def trains() -> None:
    """Take a slot."""


@dg.job
def training() -> None:
    """A job whose step takes a slot."""
    trains()


def test_a_killed_process_is_seen_to_be_gone_whatever_its_host_was_called(
    settings, holding, tmp_path
):
    with open_instance(settings) as instance:
        owner = Owner("a-container-made-anew", 1, 1)
        kill = holding(owner.file_in(tmp_path))
        run = begin(instance, {PROCESS_TAG: str(owner)})
        assert end_lost_runs(instance) == []
        kill()
        assert end_lost_runs(instance) == [run.run_id]
        assert not owner.file_in(tmp_path).exists()
        unknown = begin(instance, {PROCESS_TAG: str(Owner("another-host", 1, 1))})
        mine = begin(instance, {PROCESS_TAG: this_process(instance)})
        assert end_lost_runs(instance) == []
        assert {unknown.run_id, mine.run_id} <= {one.run_id for one in instance.get_runs()}
        assert this_process(instance) == mine.tags[PROCESS_TAG]


def test_the_runs_of_an_up_end_with_it(settings, holding, tmp_path):
    server = json.dumps({"host": "localhost", "socket": str(tmp_path / "up" / "code_server.sock")})
    with open_instance(settings) as instance:
        instance.daemon_cursor_storage.set_cursor_values({recovery.DAEMON_HOST: "elsewhere"})
        kill = holding(up_lock(tmp_path))
        run = begin(instance, {CODE_SERVER_TAG: server})
        other = begin(instance, LAUNCHED)  # of a `dagster dev`
        assert end_lost_runs(instance) == []
        kill()
        assert end_lost_runs(instance) == [run.run_id]
        assert instance.get_run_by_id(other.run_id).status is dg.DagsterRunStatus.STARTED


def test_slots_that_a_wipe_took_are_there_again(settings):
    with open_instance(settings) as instance:
        assert training.execute_in_process(instance=instance).success
        storage = instance.event_log_storage
        instance.wipe()
        assert storage.get_concurrency_info("member_training").slot_count == 0
        recover(instance, settings)
        assert storage.get_concurrency_info("member_training").slot_count == 1
        storage.set_concurrency_slots("member_training", 3)
        instance.wipe()
        recover(instance, settings)
        assert storage.get_concurrency_info("member_training").slot_count == 3


def test_who_holds_a_slot_is_said_and_waiting_can_be_ended(settings, holding, tmp_path):
    with open_instance(settings) as instance:
        owner = Owner("worker-7", 4711, 1)
        kill = holding(owner.file_in(tmp_path))
        run = instance.create_run_for_job(
            training, status=dg.DagsterRunStatus.STARTED, tags={PROCESS_TAG: str(owner)}
        )
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default("member_training")
        storage.claim_concurrency_slot("member_training", run.run_id, "trains")
        said, looks = [], []

        def interrupted(_seconds):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await_slots(instance, {"member_training"}, said.append, interrupted)
        holder = f"member_training by run {run.run_id} of process 4711 on worker-7"
        assert said == [f"waiting for slots that are held: {holder}; Ctrl-C ends this"]

        def look(_seconds):
            looks.append(1)
            if len(looks) == 2:
                kill()

        other = instance.create_run_for_job(training, status=dg.DagsterRunStatus.STARTED)
        storage.claim_concurrency_slot("member_training", other.run_id, "waits")
        happenings = Happenings(settings)  # as `up` follows them: the daemon's steps wait too
        told = [list(happenings.troubles(instance)) for _ in range(2)]
        assert told == [[f"a run waits for slots that are held: {holder}"], []]
        storage.free_concurrency_slots_for_run(other.run_id)
        await_slots(instance, {"member_training", "unknown"}, said.append, look)
        assert (len(looks), len(said)) == (2, 2)  # once for each wait, however long


def test_what_takes_a_slot_is_known():
    assert pools_of("train_members") == {"member_training", "panel"}
    assert pools_of("refresh_features") == {"panel"}
    assert pools_of("predict_day") == set()


@pytest.mark.long
def test_what_a_killed_dagster_dev_leaves_is_named_and_up_begins_without_it(settings, tmp_path):
    begun = subprocess.Popen(
        [sys.executable, "-m", "dagster", "dev", "--empty-workspace", "--port", f"{free_port()}"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    dev, children = psutil.Process(begun.pid), []
    deadline = monotonic() + PATIENCE_SECONDS
    while len(children) < 2 and monotonic() < deadline:
        with suppress(psutil.NoSuchProcess):  # one that Dagster begins for a moment only
            children = [one for one in dev.children() if "--shutdown-pipe" in one.cmdline()]
    try:
        assert left_by_dev(tmp_path) == ""  # it lives, beside an `up`
        dev.kill()
        begun.wait()
        named = {f"kill {one.pid} {two.pid}" for one, two in permutations(children)}
        said = left_by_dev(tmp_path)
        assert any(command in said for command in named)
        assert left_by_dev(tmp_path / "another") == ""
        refused = PoolFolder(tmp_path).run("up", timeout=PATIENCE_SECONDS)
        assert (refused.returncode, refused.stderr) == (2, f"{said}\n")
        with open_instance(settings) as instance:
            happenings = Happenings(settings)
            assert [list(happenings.troubles(instance)) for _ in range(2)] == [[said], []]
        for child in children:
            child.terminate()  # as the command does that is named
        _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
        assert alive == []
        assert left_by_dev(tmp_path) == ""
    finally:
        for one in (dev, *children):
            with suppress(psutil.NoSuchProcess):
                one.kill()
