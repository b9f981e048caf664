"""A pool in a folder of its own, driven through its command line as a user does.

`new_pool(symbols="BTC", ...)` makes an empty one. `.ask("status")` runs a command in this process,
`.run("build")` one that works with Dagster, and `.run_code(text)` a script, in a process that is
forked from one which has imported the libraries (`forking.py`). What tests how a process starts
begins `.command("status")`.
`built_once("name", build)` gives a folder that is built once for all workers of a session.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest
from filelock import FileLock

from crypto_pool.settings import load_settings
from crypto_pool_tests.forking import ADDRESS, COMMAND, fork_server, run_forked
from crypto_pool_tests.stages import ALGORITHMS_VARIABLE, FEW, STAGES, STAGES_MODULE

# For what asks that something is trained, stored and serves, and not what.
ONE = ("LightGBM",)
ROOT = Path(__file__).parent.parent
# What ends a test that hangs; even with ten processes to a core nothing that comes takes as long.
PATIENCE_SECONDS = 240
HANDLERS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
os.environ.setdefault("KERAS_BACKEND", "jax")
# A pool that `make demo` left in the checkout is no pool of the tests.
os.environ["DAGSTER_HOME"] = str(Path(tempfile.gettempdir()) / "crypto_pool_tests_no_home")
# Every process of a pool compiles the same programs; those of the tests share them.
COMPILED = Path(tempfile.gettempdir()) / f"crypto_pool_tests_jax_{os.getuid()}"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(COMPILED))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# What SHAP's exact explainer, with which explanations are compared, would compile in nine seconds
# it works out in a tenth of one.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
# A shell starts what runs in its background with SIGINT ignored; Dagster then ignores SIGTERM
# too, and so would every command that a test starts and means to stop.
for number in (signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, HANDLERS[number])

# What takes longest begins first, so that no worker is left alone with it at the end.
LONGEST = (
    "test_readme.py",
    "test_browser_dagster.py",
    "test_building.py",
    "test_publication.py",
    "test_promoting.py",
    "test_market_data.py",
    "test_key_secrecy.py",
    "test_v1_0_0.py",
    "test_automation.py",
    "test_drills.py",
    "test_replay.py",
    "test_imports.py",
    "test_lost_models.py",
    "test_daily_quota.py",
    "test_publishing.py",
    "test_up.py",
    "test_definitions.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Begin the server of forked processes, one for all workers of a session.

    Where there are workers, they collect what they run while it imports.
    """
    if ADDRESS not in os.environ:
        server = contextlib.ExitStack()
        server.enter_context(fork_server(at_once=bool(config.getoption("numprocesses", None))))
        config.add_cleanup(server.close)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; the order within a file stays."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@dataclass
class PoolFolder:
    """The state of one pool and the environment its commands run in."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def environment(self) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("CRYPTO_POOL_")
        }
        own = {f"CRYPTO_POOL_{name.upper()}": value for name, value in self.settings.items()}
        return {**inherited, **own, "DAGSTER_HOME": str(self.home)}

    def command(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).parent / "crypto-pool"), *arguments]

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `crypto-pool` in this process: a command that looks, decides or refuses."""
        from crypto_pool.cli import main

        code, out, err = 0, StringIO(), StringIO()
        with (
            patch.dict(os.environ, self.environment, clear=True),
            patch.object(sys, "argv", self.command(*arguments)),
            contextlib.chdir(self.home),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            load_settings.cache_clear()
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        load_settings.cache_clear()
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def run(self, *arguments: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        """Run `crypto-pool` to its end, in a forked process."""
        return run_forked(COMMAND, arguments, self.environment, self.home, timeout)

    def run_code(
        self, code: str, *arguments: str, timeout: float = 900
    ) -> subprocess.CompletedProcess[str]:
        """Run Python code to its end, in a forked process with the pool's environment."""
        return run_forked(("code", code), arguments, self.environment, self.home, timeout)

    def run_code_alone(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run Python code in a process that has imported nothing yet."""
        return subprocess.run(
            [sys.executable, "-c", code],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def build_few(
        self, day: date | str, stages: Sequence[str] = STAGES, algorithms: Sequence[str] = FEW
    ) -> subprocess.CompletedProcess[str]:
        """Build and forecast a day with some of the algorithms."""
        environment = {**self.environment, ALGORITHMS_VARIABLE: ",".join(algorithms)}
        arguments = [",".join(stages), f"{day}"]
        return run_forked(("module", STAGES_MODULE), arguments, environment, ROOT, 900)

    def table(self, name: str) -> pd.DataFrame:
        from crypto_pool.adapters.prediction_tables import query

        return query(self.data, f"SELECT * FROM {name}")


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """Give each test an environment of its own; a command that runs in this process sets some."""
    with patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def closed_stores() -> Iterator[None]:
    """Close the stores of MLflow that a test used: it keeps six files of each open for good."""
    yield
    for kind in ("tracking", "model_registry"):
        if module := sys.modules.get(f"mlflow.store.{kind}.sqlalchemy_store"):
            for engine in module.SqlAlchemyStore._engine_map.values():
                engine.dispose()


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Give the folder of a name, built by the first worker that asks; who changes it copies it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def give(name: str, build: Callable[[Path], None]) -> Path:
        folder = shared / "built_once" / name
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not (done := Path(f"{folder}.done")).exists():
                folder.mkdir()
                build(folder)
                done.touch()
        return folder

    return give


@pytest.fixture(scope="session")
def empty_store(built_once: Callable[..., Path]) -> bytes:
    """Give the bytes of an SQLite store of MLflow, to spare each test its schema.

    It has no experiment of the pool, which would lie where it was made.
    """
    from crypto_pool.adapters.mlflow.store import create_schema

    def build(folder: Path) -> None:
        create_schema(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))

    return (built_once("store", build) / "mlflow.db").read_bytes()


MAKE_STORES = """
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.building import open_instance
from crypto_pool.settings import load_settings

settings = load_settings()
with open_instance(settings):
    ModelRegistry(settings.tracking_uri, settings.artifact_root).prepare()
"""


def make_stores(home: Path) -> None:
    """Have Dagster and MLflow make their databases, what a build begins with."""
    made = PoolFolder(home).run_code(MAKE_STORES)
    assert made.returncode == 0, made.stderr


@pytest.fixture(scope="session")
def new_pool(
    tmp_path_factory: pytest.TempPathFactory, built_once: Callable[..., Path]
) -> Callable[..., PoolFolder]:
    """Make a pool, empty but for its databases if it is `with_stores`; the rest are its settings.

    It judges candidates by `holdout`, a fifth of the work, in the process that asks for it: what
    tests the default policy, or worker processes, says so.
    """

    def make(*, with_stores: bool = False, **settings: str) -> PoolFolder:
        home = tmp_path_factory.mktemp("home")
        if with_stores:
            shutil.copytree(built_once("stores", make_stores), home, dirs_exist_ok=True)
        quick = {
            "training_rows": "500",
            "explained_rows": "10",
            "evaluation_policy": "holdout",
            "workers": "1",
        }
        return PoolFolder(home, {**quick, **settings})

    return make


@pytest.fixture
def fresh_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Have settings read anew, in an empty folder."""

    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()
