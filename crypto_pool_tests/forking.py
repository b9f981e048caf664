"""Processes forked from one that has imported the libraries, each with a fresh crypto_pool.

To start Python and to import Dagster, MLflow and scikit-learn takes five processor seconds, more
than most commands work. One server a test session does it once, at the beginning or when it is
first asked. It never imports crypto_pool: what that reads of the environment, each process reads
anew. What tests how a process starts, its imports or what they print takes a process of its own.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ADDRESS = "POOL_TESTS_FORK_SERVER"
LONGEST_REQUEST = 1 << 20
# Neither jax nor keras: they start threads as they are imported.
LIBRARIES = (
    "dagster",
    "dagster._core.definitions.external_asset",
    "dagster._core.execution.execute_in_process",
    "dagster._core.instance.runs.run_domain",
    "dagster._core.secrets.env_file",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.legacy_storage",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    "dagster._core.storage.sqlite_storage",
    "dagster_mlflow",
    "duckdb",
    "fastapi",
    "fsspec.implementations.local",
    "git",
    "jinja2",
    "lightgbm",
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "mlflow",
    "mlflow.lightgbm",
    "mlflow.pyfunc.loaders",
    "mlflow.pyfunc.model",
    "mlflow.sklearn",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.xgboost",
    "narwhals._pandas_like.dataframe",
    "opentelemetry.sdk.metrics",
    "pandas.core.methods.to_dict",
    "pandera.backends.pandas.register",
    "pandera.pandas",
    "pandera.strategies.pandas_strategies",
    "PIL.BmpImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PpmImagePlugin",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pydantic.dataclasses",
    "pydantic_settings",
    "requests",
    "rich.progress",
    "rich.table",
    "scipy.optimize",
    "scipy.stats",
    "shap",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.neighbors",
    "sklearn.neural_network",
    "sklearn.pipeline",
    "sklearn.svm",
    "skops.io",
    "talib",
    "typer",
    "upath.implementations.local",
    "uvicorn",
    "watchdog.observers.polling",
    "xgboost",
)
Target = tuple[str, str]
COMMAND: Target = ("script", str(Path(sys.executable).with_name("crypto-pool")))


@contextlib.contextmanager
def fork_server(*, at_once: bool = False) -> Iterator[None]:
    """Keep a server for this process and all below it, to be found by their environment.

    It imports the libraries `at_once`, or else when it is first asked.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket(*_KIND) as listener:
        os.environ[ADDRESS] = f"{folder}/server"
        listener.bind(os.environ[ADDRESS])
        listener.listen(64)
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, str(listener.fileno()), *["at once"] * at_once],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
            stdin=subprocess.PIPE,  # its end tells the server that we are gone
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
        try:
            yield
        finally:
            server.communicate()
            del os.environ[ADDRESS]


def run_forked(
    target: Target,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    timeout: float,
) -> "subprocess.CompletedProcess[str]":
    """Run a module, a script or code, as `subprocess.run` would; its stdin is empty.

    Raises:
        subprocess.TimeoutExpired: it was killed, with its group.
    """
    request = {
        "target": target,
        "arguments": [*arguments],
        "environment": {**environment},
        "cwd": str(cwd),
    }
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with socket.socket(*_KIND) as connection:
            connection.connect(os.environ[ADDRESS])
            outputs = [out.fileno(), err.fileno()]
            socket.send_fds(connection, [json.dumps(request).encode()], outputs)
            process = int(connection.recv(32))
            connection.settimeout(timeout)
            try:
                code = int(connection.recv(32))
            except TimeoutError:
                os.killpg(process, signal.SIGKILL)
                said = b"\n".join(_content(one) for one in (out, err))
                raise subprocess.TimeoutExpired([*target, *arguments], timeout, said) from None
        said = [_content(one).decode() for one in (out, err)]
    return subprocess.CompletedProcess([*target, *arguments], code, *said)


_KIND = (socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _content(file) -> bytes:
    file.seek(0)
    return file.read()


def serve(listener: socket.socket) -> None:
    """Answer until stdin ends; returns in each process that is to run something, too."""
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        with contextlib.suppress(ChildProcessError):  # so that their times are counted as ours
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if sys.stdin in ready:
            return
        connection, _ = listener.accept()
        import_libraries()
        gc.freeze()  # a collection in a forked process would copy what all share
        if os.fork() == 0:
            listener.close()
            look_after_one(connection)
            return
        connection.close()


def import_libraries() -> None:
    """Import what processes are forked to have; the second time costs nothing."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def look_after_one(connection: socket.socket) -> None:
    """Fork the process that was asked for, tell its id and then its code; returns in it alone."""
    asked, outputs, _, _ = socket.recv_fds(connection, LONGEST_REQUEST, 2)
    child = os.fork()
    if child:
        connection.send(str(child).encode())
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(OSError):  # nobody waits any more
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    connection.close()
    os.setsid()
    for number, file in zip((0, 1, 2), (os.open(os.devnull, os.O_RDONLY), *outputs), strict=True):
        os.dup2(file, number)
        os.close(file)
    become(json.loads(asked))


def become(request: dict) -> None:
    """Be a Python that was started for the request."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    kind, what = request["target"]
    sys.argv = [what if kind == "script" else "-c", *request["arguments"]]
    code = 0
    try:
        if kind == "module":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        elif kind == "script":
            runpy.run_path(what, run_name="__main__")
        else:
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        code = _code_of(end)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    _end(code)


def _code_of(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


def _end(code: int) -> None:
    """End as Python does, but leave the modules: to clear each takes two processor seconds."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    if sys.argv[2:]:
        import_libraries()
    serve(socket.socket(fileno=int(sys.argv[1])))
