"""What `crypto-pool up` serves: on loopback only, and to no page of another name."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from drills._engines import free_port

ROOT = Path(__file__).parent.parent
# A path of each service that is answered without a pool; MLflow's /health minds no name.
EXPERIMENT = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
PATHS = {"dagster": "/server_info", "mlflow": EXPERIMENT, "pool": "/health"}
OWN_NAMES = ("127.0.0.1", "localhost")
FOREIGN_NAMES = ("attacker.example", "127.0.0.1.attacker.example", "192.168.0.7")
START_SECONDS = 120


def run() -> dict[str, Any]:
    """Give what listens where, and which Host headers are answered."""
    with tempfile.TemporaryDirectory() as folder, running_up(Path(folder)) as running:
        return look_at(*running[:2])


@contextmanager
def running_up(
    folder: Path,
) -> Iterator[tuple["subprocess.Popen[bytes]", dict[str, int], Path]]:
    """Run `up` for an empty pool; give it, its ports by the names of PATHS, and its log."""
    ports = {name: free_port() for name in PATHS}
    command = [str(Path(sys.executable).parent / "crypto-pool"), "up"]
    for name, port in ports.items():
        command += [f"--{name}-port", str(port)]
    log = folder / "up.log"
    with log.open("w") as output:
        up = subprocess.Popen(
            command,
            env={**os.environ, "DAGSTER_HOME": str(folder)},
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        for name, port in ports.items():
            _await(up, port, PATHS[name], log)
        yield up, ports, log
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(timeout=60)


def look_at(up: "subprocess.Popen[bytes]", ports: dict[str, int]) -> dict[str, Any]:
    """The same of an `up` that runs; `ports` by the names of PATHS."""
    statuses = {
        (name, host): _status(port, PATHS[name], host)
        for name, port in ports.items()
        for host in (*OWN_NAMES, *FOREIGN_NAMES)
    }
    listening = _listening(psutil.Process(up.pid))
    mutation = json.dumps({"query": "{ version }"})
    return {
        "services": len(ports),
        "listening_on_loopback": sum(_is_loopback(address.ip) for address in listening),
        "listening_beyond_loopback": sum(not _is_loopback(address.ip) for address in listening),
        "own_names_answered": sum(statuses[n, h] == 200 for n in ports for h in OWN_NAMES),
        "own_names_refused": sum(statuses[n, h] != 200 for n in ports for h in OWN_NAMES),
        "foreign_names_refused": sum(statuses[n, h] >= 400 for n in ports for h in FOREIGN_NAMES),
        "foreign_names_answered": sum(statuses[n, h] < 400 for n in ports for h in FOREIGN_NAMES),
        "foreign_graphql_status": _status(ports["dagster"], "/graphql", FOREIGN_NAMES[0], mutation),
        "own_graphql_status": _status(ports["dagster"], "/graphql", OWN_NAMES[0], mutation),
    }


def _listening(parent: psutil.Process) -> list[Any]:
    """The addresses on which a process and those below it listen."""
    addresses = []
    for process in (parent, *parent.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # a run's own may end meanwhile
            addresses += [
                connection.laddr
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            ]
    return addresses


def _status(port: int, path: str, host: str, body: str | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        headers = {"Host": f"{host}:{port}", "Content-Type": "application/json"}
        connection.request("POST" if body else "GET", path, body, headers)
        return connection.getresponse().status


def _await(up: "subprocess.Popen[bytes]", port: int, path: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and up.poll() is None:
        with contextlib.suppress(OSError):
            _status(port, path, "localhost")
            return
        time.sleep(0.2)  # a service says nothing when it begins to listen
    raise RuntimeError(f"nothing listens on port {port}: {log.read_text()[-4000:]}")


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
