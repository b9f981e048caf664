"""A pool of synthetic coins, built once in a folder of its own through the command line."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from time import perf_counter

import pandas as pd

from benchmarks._memory import peak_of
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.training import TrainingTable, training_table
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.setting_groups import DEFAULT_SYMBOLS
from crypto_pool_tests.stages import ALGORITHMS_VARIABLE, STAGES, STAGES_COMMAND

ROOT = Path(__file__).parent.parent
LAST_DAY = date(2023, 6, 30)
TRENDS = ("uptrend", "downtrend")
FEWEST_EXPLAINED = "10"
SYMBOLS = tuple(DEFAULT_SYMBOLS)


@dataclass(frozen=True)
class BuiltPool:
    """Where a pool lies, the environment of its commands, and what its build took."""

    home: Path
    environment: Mapping[str, str]
    symbols: tuple[str, ...]
    seconds: float
    peak_mib: float

    @property
    def members(self) -> int:
        return len(TRENDS) * len(self.symbols)

    def environment_on(self, last_closed: date) -> dict[str, str]:
        """The environment when the last closed bar is of this day."""
        now = f"{last_closed + timedelta(days=1)}T12:00:00+00:00"
        return {**self.environment, "CRYPTO_POOL_SIMULATED_NOW": now}


def built_pool(
    policy: str,
    explained_rows: str = FEWEST_EXPLAINED,
    symbols: tuple[str, ...] = SYMBOLS,
    algorithms: tuple[str, ...] = (),
) -> BuiltPool:
    """Build coins under a policy, of all algorithms or of some; once for all that ask the same."""
    return _built(policy, explained_rows, symbols, algorithms)


@cache
def _built(
    policy: str, explained_rows: str, symbols: tuple[str, ...], algorithms: tuple[str, ...]
) -> BuiltPool:
    home = Path(tempfile.mkdtemp(prefix="crypto_pool_benchmark_"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    kept = {name: value for name, value in os.environ.items() if "CRYPTO_POOL_" not in name}
    pool = BuiltPool(
        home,
        kept
        | {
            "DAGSTER_HOME": str(home),
            "CRYPTO_POOL_SYMBOLS": ",".join(symbols),
            "CRYPTO_POOL_EVALUATION_POLICY": policy,
            "CRYPTO_POOL_EXPLAINED_ROWS": explained_rows,
            ALGORITHMS_VARIABLE: ",".join(algorithms),
            "PYTHONPATH": str(ROOT),
        },
        symbols,
        seconds=0.0,
        peak_mib=0.0,
    )
    command = [str(Path(sys.executable).parent / "crypto-pool"), "build"]
    if algorithms:
        command = [*STAGES_COMMAND, ",".join(STAGES), f"{LAST_DAY}"]
    seconds, peak = peak_of(command, home, pool.environment_on(LAST_DAY))
    return replace(pool, seconds=seconds, peak_mib=peak)


def timed(command: list[str], home: Path, environment: Mapping[str, str]) -> float:
    """Run a command in the pool's folder and give its seconds; a failed one ends the benchmark."""
    started = perf_counter()
    done = subprocess.run(
        command, cwd=home, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return perf_counter() - started


def member_rows(symbol: str, trend: str) -> TrainingTable:
    """The labelled rows the pool trains this member on."""
    bars = SyntheticMarket().bars(symbol, LAST_DAY)
    features = build_features(compute_indicators(bars))
    return training_table(bars, features, trend, pd.Timestamp(LAST_DAY))
