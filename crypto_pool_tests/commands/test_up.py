"""`up` begins only where it can, and says where its pages are."""

import json
import socket
import tomllib
from threading import Event, Thread

import dagster as dg
import pytest
import yaml

from crypto_pool import CODE_LOCATION
from crypto_pool.commands.code_server import CodeServer
from crypto_pool.commands.ports import LOOPBACK, Place, try_ports
from crypto_pool.commands.up import (
    ADDRESS_FILE,
    CODE_SERVER,
    DAEMON,
    hold_alone,
    say_when_ready,
    services,
)
from crypto_pool.errors import InvalidSetting
from crypto_pool.recovery import CODE_SERVER_TAG, runs_in
from crypto_pool.settings import Settings
from crypto_pool_tests.conftest import PATIENCE_SECONDS, ROOT


@dg.job
def idle() -> None:
    """A job that is never run."""


@pytest.mark.parametrize("option", ["--pool-port", "--dagster-port", "--mlflow-port"])
def test_a_port_that_is_taken_is_refused_before_anything_begins(new_pool, option):
    pool = new_pool(serving_port="0")
    ports = {"--dagster-port": "0", "--mlflow-port": "0"}
    with socket.create_server((LOOPBACK, 0)) as holder:
        taken = str(holder.getsockname()[1])
        given = [word for pair in {**ports, option: taken}.items() for word in pair]
        refused = pool.run("up", *given)
    assert refused.returncode == 2
    assert refused.stderr == f"port {taken} is taken: choose another with {option} N\n"
    assert refused.stdout == ""
    assert not pool.data.exists()


def test_serving_other_machines_without_a_token_is_refused_before_anything_begins(new_pool):
    pool = new_pool(serving_host="0.0.0.0", serving_port="0")
    refused = pool.run("up", "--dagster-port", "0", "--mlflow-port", "0")
    assert refused.returncode == 2
    assert "set CRYPTO_POOL_SERVING_TOKEN" in refused.stderr
    assert not pool.data.exists()


def test_the_sandbox_refuses_a_port_that_is_taken_too(new_pool):
    with socket.create_server((LOOPBACK, 0)) as holder:
        taken = str(holder.getsockname()[1])
        refused = new_pool().run("sandbox", "--port", taken)
    assert refused.returncode == 2
    assert refused.stderr == f"port {taken} is taken: choose another with --port N\n"


def test_one_port_for_two_services_is_refused_and_a_free_one_is_found_for_0():
    free, other = try_ports(Place(LOOPBACK, 0, "--one N"), Place(LOOPBACK, 0, "--two N"))
    assert 0 < free != other > 0
    assert try_ports(Place(LOOPBACK, free, "--one N")) == [free]
    with pytest.raises(InvalidSetting, match=f"port {free} is taken: .* --two N"):
        try_ports(Place(LOOPBACK, free, "--one N"), Place(LOOPBACK, free, "--two N"))


def test_a_host_that_is_not_of_this_machine_is_refused_by_name():
    with pytest.raises(InvalidSetting, match=r"192\.0\.2\.1:0 cannot be listened on .* --port N"):
        try_ports(Place("192.0.2.1", 0, "--port N"))


def test_the_addresses_are_printed_once_all_answer(capsys):
    late = Place(LOOPBACK, try_ports(Place(LOOPBACK, 0, "--late N"))[0], "--late N")
    with socket.create_server((LOOPBACK, 0)) as early:
        addresses = {"Early": early.getsockname(), "Late": (late.host, late.port)}
        ending = Event()
        saying = Thread(target=say_when_ready, args=(addresses, ending))
        saying.start()
        early.accept()[0].close()  # it has looked, and the other one does not answer yet
        assert capsys.readouterr().out == ""
        with socket.create_server((late.host, late.port)):
            saying.join(timeout=PATIENCE_SECONDS)
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"Early    http://127.0.0.1:{addresses['Early'][1]}",
        f"Late     http://127.0.0.1:{late.port}",
    ]


def test_nothing_is_printed_once_it_is_to_end(capsys):
    ending = Event()
    ending.set()
    with socket.create_server((LOOPBACK, 0)) as answering:
        say_when_ready({"Pool": answering.getsockname()}, ending)
    assert capsys.readouterr().out == ""


def test_a_second_up_is_refused_with_the_address_of_the_first(new_pool):
    pool = new_pool(serving_port="0")
    folder = pool.home.resolve() / "up"
    first = hold_alone(folder)
    (folder / ADDRESS_FILE).write_text("http://127.0.0.1:8765")
    second = pool.run("up")
    assert second.returncode == 2
    assert f"runs already for {folder.parent} at http://127.0.0.1:8765: end that" in second.stderr
    first.release()
    hold_alone(folder).release()  # one that was killed holds nothing


def test_up_ends_the_runs_of_its_own_code_server_only(tmp_path):
    own, other = tmp_path / "up" / "code_server.sock", tmp_path / "other.sock"
    servers = [{"socket": str(own)}, {"socket": str(other)}, {"port": 4000}, None]
    tags = [{} if one is None else {CODE_SERVER_TAG: json.dumps(one)} for one in servers]
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        begun = [
            instance.create_run_for_job(idle, status=dg.DagsterRunStatus.STARTED, tags=one)
            for one in tags
        ]
        mine = runs_in(instance, own)
    assert [run.run_id for run in mine] == [begun[0].run_id]


def test_dagster_and_mlflow_are_quiet_below_warnings(tmp_path):
    """Each command is read by the service's own parser, which refuses what it does not know."""
    import dagster._cli.code_server
    import dagster._daemon.cli
    import dagster_webserver.cli
    import mlflow.cli

    code_server = CodeServer.prepare(tmp_path)
    made = services(Settings(_env_file=None), {"Pool": 1, "Dagster": 2, "MLflow": 3}, code_server)
    said = {one.name: one.command for one in made}

    def options(parser, name, skipped):
        return parser.make_context(name, list(said[name][skipped:])).params

    page = options(dagster_webserver.cli.cli, "the Dagster UI", 3)
    assert (page["dagster_log_level"], page["code_server_log_level"]) == ("warning", "warning")
    assert page["port"] == 2
    assert options(dagster._daemon.cli.run_command, DAEMON, 4)["log_level"] == "warning"
    code = options(dagster._cli.code_server.start_command, CODE_SERVER, 5)
    assert (code["log_level"], code["socket"]) == ("warning", str(code_server.address))
    assert options(mlflow.cli.server, "MLflow", 4)["uvicorn_opts"] == "--log-level warning"


def test_the_code_location_is_known_by_its_module_and_a_long_path_is_avoided(tmp_path):
    deep = tmp_path / ("d" * 100)
    for folder in (tmp_path, deep):
        made = CodeServer.prepare(folder)
        assert len(str(made.address)) <= 100
        (location,) = yaml.safe_load(made.workspace.read_text())["load_from"]
        assert location["grpc_server"] == {
            "host": "localhost",
            "socket": str(made.address),
            "location_name": "crypto_pool.definitions",
        }


def test_every_way_to_start_dagster_knows_the_code_location_by_one_name():
    """The daemon of a `dg dev` beside `up` would fail each run of a location it does not know."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert project["code_location_name"] == CODE_LOCATION
    assert f"python_module: {CODE_LOCATION}" in (ROOT / "workspace.yaml").read_text()
