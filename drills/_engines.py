"""Engines beyond one machine, on loopback and in folders of their own: Postgres, S3, Dask."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
DATABASES = ("dagster", "mlflow")
BUCKET = "crypto-pool"
START_SECONDS = 120
INSTALL_POSTGRES = "Postgres is not installed: apt-get install postgresql, or put initdb on PATH"


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        return int(server.getsockname()[1])


def postgres_programs() -> Path | None:
    """Folder of initdb and pg_ctl; None where Postgres is not installed."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: int(path.parts[-3]),
    )
    return installed[-1].parent if installed else None


@dataclass(frozen=True)
class Postgres:
    """A server that may be stopped and started."""

    programs: Path
    folder: Path
    port: int

    def uri(self, database: str) -> str:
        """Address of a database."""
        return f"postgresql+psycopg2://pool@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        options = f"-h {LOOPBACK} -p {self.port} -k {self.folder}"
        self.call("pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-w",
                  "-o", options, "start")  # fmt: skip

    def stop(self) -> None:
        """Stop it; open connections are cut."""
        self.call("pg_ctl", "-D", f"{self.folder}/data", "-m", "fast", "-w", "stop")

    def call(self, program: str, *arguments: str) -> None:
        """Run a program of Postgres, which refuses to work for root."""
        other = {"user": "postgres"} if os.geteuid() == 0 else {}
        subprocess.run(
            [str(self.programs / program), *arguments],
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            timeout=START_SECONDS,
            **other,  # type: ignore[call-overload]
        )


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A new server with the databases of Dagster and MLflow, trusted on loopback."""
    programs = postgres_programs()
    if programs is None:
        raise SystemExit(INSTALL_POSTGRES)
    with tempfile.TemporaryDirectory(prefix="pool-postgres-") as name:
        server = Postgres(programs, Path(name), free_port())
        if os.geteuid() == 0:
            shutil.chown(name, "postgres")
        server.call("initdb", "-D", f"{name}/data", "-U", "pool", "-A", "trust", "-E", "UTF8", "-N")
        server.start()
        try:
            for database in DATABASES:
                server.call(
                    "createdb", "-h", LOOPBACK, "-p", str(server.port), "-U", "pool", database
                )
            yield server
        finally:
            with suppress(subprocess.CalledProcessError):  # a drill may have left it stopped
                server.stop()


@contextmanager
def object_store() -> Iterator[dict[str, str]]:
    """An S3-compatible server with the bucket BUCKET; gives the environment that leads to it."""
    port = free_port()
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / "moto_server"), "-H", LOOPBACK, "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    environment = {
        "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{port}",
        "AWS_ACCESS_KEY_ID": "drill",
        "AWS_SECRET_ACCESS_KEY": "drill",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        wait_until(lambda: _listens(port), "the object store", server)
        with set_environment(environment):
            import boto3

            boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield environment
    finally:
        server.terminate()
        server.wait()


@dataclass(frozen=True)
class DaskCluster:
    """A scheduler and its workers, each the leader of a group of processes."""

    scheduler: str
    workers: "list[subprocess.Popen[bytes]]"

    def kill_worker(self) -> None:
        """SIGKILL the first worker with its nanny, so that nothing brings it back."""
        os.killpg(self.workers[0].pid, signal.SIGKILL)
        self.workers[0].wait()


@contextmanager
def dask_cluster(workers: int = 2, **environment: str) -> Iterator[DaskCluster]:
    """What `dask scheduler` and `dask worker --nthreads 1` start, reached on loopback only."""
    from distributed import Client

    port = free_port()
    address = f"tcp://{LOOPBACK}:{port}"
    dask = str(Path(sys.executable).parent / "dask")
    local = ["--host", LOOPBACK, "--no-dashboard"]
    own = {**os.environ, "KERAS_BACKEND": "jax", **environment}

    def start(*arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [dask, *arguments, *local],
            env=own,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    with tempfile.TemporaryDirectory() as folder:
        started = [start("scheduler", "--port", str(port))]
        try:
            started += [start("worker", address, "--nthreads", "1") for _ in range(workers)]
            with Client(address, timeout=START_SECONDS, set_as_default=False) as client:
                client.wait_for_workers(workers, timeout=START_SECONDS)
            yield DaskCluster(address, started[1:])
        finally:
            for process in started:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def set_environment(values: dict[str, str]) -> Iterator[None]:
    """Let this process have these variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def wait_until(
    is_so: Callable[[], bool], what: str, process: "subprocess.Popen[bytes] | None" = None
) -> None:
    """Ask until it is so, or the process that it depends on has ended."""
    deadline = time.monotonic() + START_SECONDS
    while not is_so():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what} ended with {process.returncode} before it answered")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} does not answer after {START_SECONDS} s")
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0
