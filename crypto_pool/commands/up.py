"""The command `up`: the Dagster UI, its daemon and MLflow, supervised as one."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_pool.commands.options import chosen_settings
from crypto_pool.commands.printing import console

if TYPE_CHECKING:
    from dagster import DagsterInstance

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 20
DAGSTER_UI = "crypto_pool.commands.dagster_ui"
# MLflow's own default would let in any name of the local network.
MLFLOW_HOSTS = "localhost,localhost:*,127.0.0.1,127.0.0.1:*"
# Reads from a pipe that only `up` holds open: its end means that `up` is gone, however it went.
GUARD = """
import os, signal, sys
sys.stdin.buffer.read()
for group in sys.argv[1:]:
    try:
        os.killpg(int(group), signal.SIGKILL)
    except ProcessLookupError:
        continue
"""


def up(
    dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
    pool_port: Annotated[
        int | None,
        typer.Option(help="Port of the pool's pages; default: CRYPTO_POOL_SERVING_PORT."),
    ] = None,
) -> None:
    """Serve the pool's pages, the Dagster UI, its daemon and MLflow until Ctrl-C."""
    from crypto_pool.building import open_instance, recover

    settings = chosen_settings()
    with open_instance(settings) as instance:
        for run_id in recover(instance, settings):
            console.print(f"ended run {run_id}, left by a killed process")
    port = settings.serving_port if pool_port is None else pool_port
    scripts = Path(sys.executable).parent
    module = ["-m", "crypto_pool.definitions"]
    commands = [
        [Path(sys.executable), "-m", DAGSTER_UI,
         "-h", "127.0.0.1", "-p", str(dagster_port), *module],
        [scripts / "dagster-daemon", "run", *module],
        [scripts / "mlflow", "server", "--host", "127.0.0.1", "--port", str(mlflow_port),
         "--backend-store-uri", settings.tracking_uri,
         "--default-artifact-root", settings.artifact_root, "--allowed-hosts", MLFLOW_HOSTS],
        [scripts / "crypto-pool", "serve", "--port", str(port)],
    ]  # fmt: skip
    console.print(f"Pool     http://{settings.serving_host}:{port}")
    console.print(f"Dagster  http://127.0.0.1:{dagster_port}")
    console.print(f"MLflow   http://127.0.0.1:{mlflow_port}")
    code = supervise([[str(part) for part in command] for command in commands])
    with open_instance(settings) as instance:
        _cancel_runs(instance)
        recover(instance, settings)
    raise typer.Exit(code)


def _cancel_runs(instance: "DagsterInstance") -> None:
    """Put on record that runs of the UI ended with it; one left as started blocks the queue."""
    from dagster import DagsterRunStatus, RunsFilter

    from crypto_pool.building import PROCESS_TAG

    begun = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    for run in instance.get_runs(RunsFilter(statuses=begun)):
        if PROCESS_TAG not in run.tags:
            instance.report_run_canceled(run, "stopped with `crypto-pool up`")
            console.print(f"canceled run {run.run_id}")


def supervise(commands: list[list[str]]) -> int:
    """Run services until one ends or a signal comes; stop all, return the exit code.

    They end with this process even when it is killed without notice.
    """
    # Also when started in the background of a script, where the shell has SIGINT ignored.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    services: list[subprocess.Popen[bytes]] = []
    guard = None
    try:
        for command in commands:
            services.append(subprocess.Popen(command, start_new_session=True))
        groups = [str(service.pid) for service in services]
        guard = subprocess.Popen(
            [sys.executable, "-c", GUARD, *groups], stdin=subprocess.PIPE, start_new_session=True
        )
        ended, _ = os.wait()
        code = 1
        names = {
            service.pid: DAGSTER_UI if DAGSTER_UI in command else Path(command[0]).name
            for service, command in zip(services, commands, strict=True)
        }
        console.print(f"{names.get(ended, 'the guard')} ended; stopping the others.")
    except KeyboardInterrupt:
        code = 0
    finally:
        for number in STOP_SIGNALS:  # a second Ctrl-C must not leave half of them running
            signal.signal(number, signal.SIG_IGN)
        _stop(services)
        if guard is not None:
            guard.kill()
            guard.communicate()
    return code


def _stop(services: "list[subprocess.Popen[bytes]]") -> None:
    for service in services:
        if service.poll() is None:
            service.send_signal(signal.SIGINT)
    deadline = monotonic() + GRACE_SECONDS
    for service in services:
        with suppress(subprocess.TimeoutExpired):
            service.wait(timeout=max(0.0, deadline - monotonic()))
        # Each service leads a process group: what it left of its own workers goes with it.
        with suppress(ProcessLookupError):
            os.killpg(service.pid, signal.SIGKILL)
        service.wait()
