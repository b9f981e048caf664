"""Parts of the pool's world broken one after the other: what is said, and that it heals.

Each fault must be told in a message that names the broken thing; when its cause is gone, the same
command again must come through.
"""

import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from crypto_pool.adapters.mlflow.artifact import CALIBRATION_FILE
from crypto_pool_tests.stages import run_stages
from drills._pool import DrillPool, figures_of, shortened

DAY = date(2023, 5, 10)
NOBODY_LISTENS = "http://127.0.0.1:9/query"


@dataclass(frozen=True)
class Fault:
    """What is broken, for which stages, and the words that have to be said of it."""

    name: str
    stages: tuple[str, ...]
    said: tuple[str, ...]
    breaking: Callable[[Path], Any]


def run(chosen: Sequence[str] = (), symbols: str = "BTC,ETH") -> dict[str, Any]:
    """Break the chosen things, or all; give which were named and which healed."""
    wanted = chosen or (*FAULTS, CLOCK)
    with tempfile.TemporaryDirectory() as folder:
        pool = DrillPool.make(Path(folder), SYMBOLS=symbols)
        pool.complete("build,predict,publish", DAY)
        figures = figures_of("drills.broken_parts", wanted, pool.environment)
    told = sum(bool(figure["named"]) for figure in figures.values())
    healed = sum(bool(figure["healed"]) for figure in figures.values())
    return {"faults": len(figures), "named": told, "healed": healed, "by_fault": figures}


def live(chosen: Sequence[str]) -> dict[str, Any]:
    """Break and mend in this process; the pool is that of the environment."""
    from crypto_pool.settings import load_settings

    data = load_settings().state_dir
    figures = {}
    for name in chosen:
        if name not in FAULTS:
            continue
        fault = FAULTS[name]
        with fault.breaking(data):
            failed, said = _attempt(fault.stages)
        healed = _attempt(fault.stages)
        figures[name] = {
            "failed": failed,
            "named": all(word in said for word in fault.said),
            "healed": not healed[0],
            "said": shortened(said, fault.said),
        }
    if CLOCK in chosen:
        figures[CLOCK] = _clock_jumps_back(data)
    return figures


def _attempt(stages: Sequence[str], day: date = DAY) -> tuple[bool, str]:
    """Run stages; give whether they failed, and everything that was said."""
    printed = StringIO()
    try:
        with redirect_stdout(printed):
            failures = run_stages(list(stages), [day])
    except Exception as error:  # what a command would print and end with
        return True, f"{printed.getvalue()}\n{type(error).__name__}: {error}"
    return failures > 0, printed.getvalue()


# Ways to break things; each is put right again at its end.


@contextmanager
def _truncated(path: Path) -> Iterator[None]:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        yield
    finally:
        path.write_bytes(whole)


@contextmanager
def _truncated_bars(data: Path) -> Iterator[None]:
    with _truncated(data / "parquet" / "feature_table" / "BTC.parquet"):
        yield


@contextmanager
def _truncated_champion(data: Path) -> Iterator[None]:
    from crypto_pool.adapters.mlflow import ModelRegistry
    from crypto_pool.adapters.mlflow.store import local_path

    registry = ModelRegistry(f"sqlite:///{data / 'mlflow' / 'mlflow.db'}", str(data / "x"))
    name, aliases = next(iter(registry.versions.aliases().items()))
    folder = local_path(registry.versions.get(name, aliases["champion"]).location)
    assert folder is not None
    with _truncated(folder / "artifacts" / CALIBRATION_FILE):  # a baseline has no estimator
        yield


@contextmanager
def _moved_away(path: Path) -> Iterator[None]:
    away = path.with_name(f"{path.name}.away")
    path.rename(away)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        away.rename(path)


@contextmanager
def _registry_gone(data: Path) -> Iterator[None]:
    with _moved_away(data / "mlflow" / "mlflow.db"):
        yield


@contextmanager
def _registry_locked(data: Path) -> Iterator[None]:
    with closing(sqlite3.connect(data / "mlflow" / "mlflow.db")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield
        holder.rollback()


@contextmanager
def _provider_down(data: Path) -> Iterator[None]:
    """Let the source be a server that is not there, and the day's bars be missing."""
    from crypto_pool.adapters.frame_store import FrameStore

    store = FrameStore(str(data / "parquet"))
    bars = store.read("daily_bars", "BTC")
    store.write("daily_bars", "BTC", bars.iloc[:-1])
    os.environ["CRYPTO_POOL_SANDBOX_URL"] = NOBODY_LISTENS
    try:
        yield
    finally:
        del os.environ["CRYPTO_POOL_SANDBOX_URL"]


FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "corrupted_parquet",
            ("predict",),
            ("feature_table/BTC.parquet cannot be read as Parquet", "delete it, then run"),
            _truncated_bars,
        ),
        Fault(
            "truncated_model",
            ("predict",),
            ("is not what was logged (SHA-256 differs)", CALIBRATION_FILE),
            _truncated_champion,
        ),
        Fault("mlflow_gone", ("predict",), ("mlflow.db is gone", "backup"), _registry_gone),
        Fault(
            "mlflow_locked", ("build",), ("mlflow.db does not answer", "locked"), _registry_locked
        ),
        Fault(
            "provider_down",
            ("features",),
            ("daily_bars [BTC]: ProviderUnavailable", "check the network"),
            _provider_down,
        ),
    )
}


def _clock_jumps_back(data: Path) -> dict[str, Any]:
    """Build a month in the past of what is stored, then today again; nothing may be lost by it."""
    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.adapters.ledger import Ledger
    from crypto_pool.adapters.prediction_tables import query

    def state() -> list[Any]:
        store = FrameStore(str(data / "parquet"))
        serving = {
            member.name: rows["serving_version"].iloc[-1]
            for member, rows in Ledger(store).by_member().items()
        }
        forecasts = query(data, f"SELECT * FROM predictions WHERE prediction_date = '{DAY}'")
        content = forecasts.drop(columns=["predicted_at_utc", "dagster_run_id"])
        bars = [len(store.read("daily_bars", symbol)) for symbol in store.keys("daily_bars")]
        return [serving, bars, sorted(map(str, content.to_dict("records")))]

    before = state()
    failed, said = _attempt(("build", "predict", "publish"), DAY - timedelta(days=30))
    during = state()
    healed, _ = _attempt(("build", "predict", "publish"))
    return {
        "failed": failed,
        "named": during == before,
        "healed": not healed and state() == before,
        "said": "champions, bars and forecasts stay" if during == before else said[-300:],
    }


CLOCK = "clock_jumps_back"


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        result = live(sys.argv[1:])
    print(json.dumps(result))
