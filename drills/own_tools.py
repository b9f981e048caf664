"""The user's own tools and habits: odd homes and environments, wiped runs, a home that moved.

Each is tried with the real commands, and counted as right, as refused by name, or as neither.
"""

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from crypto_pool_tests.stages import STAGES_COMMAND
from drills._pool import DrillPool

DAY = date(2023, 5, 31)
REFUSED = (2, 4)
HOMES = ("a%20b", "what?pool", "Pool e 100% #1", "a home", "~")
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "keras_backend": {"KERAS_BACKEND": "tensorflow"},
    "jax_platforms": {"JAX_PLATFORMS": "cuda"},
    "mlflow_run": {"MLFLOW_RUN_ID": "0" * 32, "MLFLOW_EXPERIMENT_NAME": "my own"},
    "no_home": {"HOME": ""},
    "latin_1": {"PYTHONIOENCODING": "latin-1", "LC_ALL": "C"},
}
TRACE = "Traceback (most recent call last)"


def run(symbols: str = "BTC", only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Give what of the user's ways goes right, what is refused by name, and what is neither."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pool = DrillPool.make(root / "pool", SYMBOLS=symbols)
        if any(not name.startswith("home ") for name in only or ("all",)):
            pool.complete("build,predict", DAY)
        tries: dict[str, Callable[[], tuple[int, str]]] = {
            **{f"home {name}": lambda name=name: _status_in(root, name) for name in HOMES},
            **{
                f"environment {name}": lambda given=given: _build(pool, given)
                for name, given in ENVIRONMENTS.items()
            },
            "a gql.py in the working directory": lambda: _beside_a_module(pool, root),
            "runs wiped": lambda: _after_a_wipe(pool),
            "dagster.yaml removed": lambda: _without_configuration(pool),
            "a home that moved": lambda: _moved(pool, root),
        }
        found = {name: tried() for name, tried in tries.items() if not only or name in only}
    neither = {
        name: said[-300:]
        for name, (code, said) in found.items()
        if TRACE in said or code not in (0, *REFUSED)
    }
    return {
        "ways": len(found),
        "right": sum(code == 0 for code, _ in found.values()),
        "refused_by_name": sorted(name for name, (code, _) in found.items() if code in REFUSED),
        "neither": neither,
    }


def _command(pool: DrillPool, *arguments: str, cwd: Path | None = None, **given: str) -> Any:
    return subprocess.run(
        [str(Path(sys.executable).parent / "crypto-pool"), *arguments],
        env={**pool.environment, **given},
        cwd=cwd or pool.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _told(done: Any) -> tuple[int, str]:
    return done.returncode, done.stdout


def _status_in(root: Path, name: str) -> tuple[int, str]:
    """Pull and store in a home of an odd name."""
    pool = DrillPool(root / "home", {"SYMBOLS": "BTC"})
    home = f"~/{root.name}_pool" if name == "~" else str(root / "homes" / name)
    (root / "user").mkdir(exist_ok=True)
    given = {"DAGSTER_HOME": home, "HOME": str(root / "user")}
    done = _command(pool, "predict", "--date", f"{DAY}", cwd=root, **given)
    is_there = Path(home.replace("~", given["HOME"])).is_dir()
    code, said = _told(done)
    # Without a champion it makes no forecast and says so: the home is where it was asked for.
    return (0 if is_there and code == 1 else code), said


def _build(pool: DrillPool, given: dict[str, str]) -> tuple[int, str]:
    environment = {**pool.environment, **given}
    done = subprocess.run(
        [*STAGES_COMMAND, "build", DAY.isoformat()],
        env=environment,
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return _told(done)


def _beside_a_module(pool: DrillPool, root: Path) -> tuple[int, str]:
    folder = root / "working"
    folder.mkdir()
    for name in ("gql", "pandas"):
        (folder / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    return _told(_command(pool, "predict", "--date", f"{DAY}", cwd=folder))


def _after_a_wipe(pool: DrillPool) -> tuple[int, str]:
    """Train after `dagster run wipe`, within the time that a training takes."""
    wipe = [sys.executable, "-m", "dagster", "run", "wipe", "--force"]
    subprocess.run(wipe, env=pool.environment, check=True, capture_output=True)
    _, printed = pool.run("build", DAY)
    return (0 if "Traceback" not in printed else 1), printed


def _without_configuration(pool: DrillPool) -> tuple[int, str]:
    (pool.home / "dagster.yaml").unlink(missing_ok=True)
    done = _command(pool, "predict", "--date", f"{DAY}")
    return _told(done)


def _moved(pool: DrillPool, root: Path) -> tuple[int, str]:
    """Copy the home, take the old one away, and forecast and back up there."""
    moved = DrillPool(root / "elsewhere", pool.settings)
    shutil.copytree(pool.home, moved.home, symlinks=True)
    pool.home.rename(root / "gone")
    done = _command(moved, "predict", "--date", f"{DAY}")
    if done.returncode:
        return _told(done)
    with closing(sqlite3.connect(moved.data / "mlflow" / "mlflow.db")) as connection:
        dump = "\n".join(connection.iterdump())
    if str(pool.home) in dump:
        return 1, "MLflow's database still names the old place"
    return _told(_command(moved, "backup", str(root / "moved.tar.gz")))
