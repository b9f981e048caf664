"""The command `up`: the pool's pages, the Dagster UI, its daemon and MLflow, kept running."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated

import typer
from filelock import FileLock

from crypto_pool.adapters.held_files import hold
from crypto_pool.commands import options
from crypto_pool.commands.code_server import CodeServer
from crypto_pool.commands.happenings import Happenings
from crypto_pool.commands.ports import LOOPBACK, Place, await_answers, port_option, try_ports
from crypto_pool.commands.printing import console
from crypto_pool.commands.supervising import Service, supervise
from crypto_pool.errors import InvalidSetting

if TYPE_CHECKING:
    from crypto_pool.settings import Settings

DAEMON, CODE_SERVER = "dagster-daemon", "the code server"
ADDRESS_FILE = "address"
DAGSTER_UI = "crypto_pool.commands.dagster_ui"
MLFLOW_UI = "crypto_pool.commands.mlflow_ui"
# MLflow's own default would let in any name of the local network.
MLFLOW_HOSTS = "localhost,localhost:*,127.0.0.1,127.0.0.1:*"


LINKS = ("page_url", "dagster_url", "mlflow_url")


def up(
    dagster_port: Annotated[int, port_option("Port of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, port_option("Port of the MLflow UI.")] = 5000,
    pool_port: Annotated[
        int | None, port_option("Port of the pool's pages; default: CRYPTO_POOL_SERVING_PORT.")
    ] = None,
) -> None:
    """Serve the pool's pages, Dagster and MLflow, until Ctrl-C."""
    from crypto_pool.building import open_instance
    from crypto_pool.defs.switches import follow_daily_pool
    from crypto_pool.recovery import left_by_dev, record_daemon_host, recover, runs_in
    from crypto_pool.serving.protection import check_exposure
    from crypto_pool.setting_checks import variable_name

    settings = options.chosen_settings()
    check_exposure(settings)
    if left := left_by_dev(settings.dagster_home):
        raise InvalidSetting(left)
    folder = settings.dagster_home.resolve() / "up"
    lock = hold_alone(folder)
    wanted = settings.serving_port if pool_port is None else pool_port
    places = {
        "Pool": Place(settings.serving_host, wanted, "--pool-port N"),
        "Dagster": Place(LOOPBACK, dagster_port, "--dagster-port N"),
        "MLflow": Place(LOOPBACK, mlflow_port, "--mlflow-port N"),
    }
    ports = dict(zip(places, try_ports(*places.values()), strict=True))
    addresses = {name: (places[name].host, port) for name, port in ports.items()}
    with open_instance(settings) as instance:
        record_daemon_host(instance)
        for run_id in recover(instance, settings, is_up=True):
            console.print(f"ended run {run_id}, left by a killed process")
        if switched := follow_daily_pool(instance):
            console.print(switched)
    # Not an argument: other users of the machine see those, and the URI may hold a password.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = settings.tracking_uri
    (folder / ADDRESS_FILE).write_text("http://{}:{}".format(*addresses["Pool"]), "utf-8")
    code_server = CodeServer.prepare(folder)
    for name, (host, port) in zip(LINKS, addresses.values(), strict=True):
        if name not in settings.model_fields_set:  # what the services link to each other by
            os.environ[variable_name(name)] = f"http://{host}:{port}"
    print_addresses(f"Starting; what the services say goes to {folder}/*.log", addresses)
    ending = Event()
    Thread(target=say_when_ready, args=(addresses, ending), daemon=True).start()
    Thread(target=Happenings(settings).follow, args=(ending, console), daemon=True).start()
    code = supervise(
        services(settings, ports, code_server),
        lambda service, how: mend(settings, service, how, code_server),
        ending,
        logs=folder,
    )
    with open_instance(settings) as instance:
        for run in runs_in(instance, code_server.address):
            instance.report_run_canceled(run, "stopped with `crypto-pool up`")
            console.print(f"canceled run {run.run_id}")
        recover(instance, settings)
    (folder / ADDRESS_FILE).unlink(missing_ok=True)
    lock.release()
    raise typer.Exit(code)


def hold_alone(folder: Path) -> FileLock:
    """Hold a home's `up`.

    Raises:
        InvalidSetting: another one runs, whose address its message names.
    """
    from crypto_pool.recovery import up_lock

    lock = hold(up_lock(folder.parent))
    if lock is not None:
        return lock
    address = folder / ADDRESS_FILE
    there = f" at {address.read_text('utf-8')}" if address.exists() else ""
    raise InvalidSetting(
        f"`crypto-pool up` runs already for {folder.parent}{there}: end that one, or choose "
        "another home with --home"
    )


def services(
    settings: "Settings", ports: Mapping[str, int], code_server: CodeServer
) -> list[Service]:
    """Give the commands of the services, quiet below warnings: their news would bury the rest."""
    module = (sys.executable, "-m")  # scripts need not lie beside the interpreter
    workspace = ("-w", str(code_server.workspace))
    return [
        Service(CODE_SERVER, code_server.command),
        Service("MLflow", (
            *module, MLFLOW_UI, "server",
            "--host", LOOPBACK, "--port", str(ports["MLflow"]), "--allowed-hosts", MLFLOW_HOSTS,
            "--default-artifact-root", settings.artifact_root,
            "--uvicorn-opts", "--log-level warning",
        )),
        Service("the pool's page", (
            *module, "crypto_pool.cli", "serve", "--port", str(ports["Pool"]),
        )),
        Service("the Dagster UI", (
            *module, DAGSTER_UI, "-h", LOOPBACK, "-p", str(ports["Dagster"]), *workspace,
            "--dagster-log-level", "warning", "--code-server-log-level", "warning",
        ), code_server.answers),
        Service(DAEMON, (
            *module, "dagster._daemon", "run", *workspace, "--log-level", "warning",
        )),
    ]  # fmt: skip


def say_when_ready(addresses: dict[str, tuple[str, int]], ending: Event) -> None:
    """Print the addresses in one block as soon as all answer, unless `up` is to end before."""
    if await_answers(list(addresses.values()), ending):
        print_addresses("All answer; Ctrl-C ends them.", addresses)


def print_addresses(title: str, addresses: dict[str, tuple[str, int]]) -> None:
    """Print where each page is, below a title; in one piece, since services print meanwhile."""
    lines = [f"{name:8} http://{host}:{port}" for name, (host, port) in addresses.items()]
    console.print("\n".join([title, *lines]))


def mend(settings: "Settings", service: Service, how: str, code_server: CodeServer) -> None:
    """Put on record what a service that died took with it, and tell whom it concerns.

    The runs of a dead code server would block the queue as started; failed, they are retried.
    """
    from crypto_pool.building import open_instance
    from crypto_pool.defs.alerting import pool_alerts
    from crypto_pool.recovery import recover, runs_in
    from crypto_pool.workflow.incidents import ended_service

    try:
        with open_instance(settings) as instance:
            if service.name == CODE_SERVER:
                for run in runs_in(instance, code_server.address):
                    instance.report_run_failed(run, f"the code server that ran it {how}")
            recover(instance, settings)
        pool_alerts(settings).send(ended_service(service.name, how, settings.now()))
    except Exception as fault:  # what cannot be mended now must not keep the service from running
        console.print(f"not mended after {service.name} {how}: {fault}")
