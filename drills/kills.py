"""SIGKILL at random moments of build, predict and publish; then the same command again.

A twin of the pool lives through the same days undisturbed, and both must end the same.
"""

import json
import math
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd

from crypto_pool_tests.stages import BEGUN, STAGES
from drills._pool import DrillPool

FIRST_DAY = date(2023, 5, 1)
SEED = 20
# Seconds a stage takes once it has begun, until it has been measured.
FIRST_GUESS = {"build": 10.0, "predict": 4.0, "publish": 2.0}
# What differs between two lives that are otherwise the same: names of runs, and MLflow's clock.
NOT_CONTENT = ("dagster_run_id", "run_id", "registered_at_utc", "predicted_at_utc")
# A skops archive holds the time and the memory addresses of its writing: that of the same model
# has another hash each time. The hashes of the other files are content.
HASHES, ARCHIVE = "model_sha256", "estimator.skops"
MLFLOW_UNOWNED_SECONDS = 60


@dataclass
class Killer:
    """Kills stages at random moments, and looks at what they leave."""

    pool: DrillPool
    random: random.Random
    seconds: dict[str, float] = field(default_factory=lambda: dict(FIRST_GUESS))
    killed: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def kill(self, stage: str, day: date) -> None:
        """Start a stage and kill its whole group of processes, unless it is quicker."""
        process = self._begin(stage, day)
        try:
            process.communicate(timeout=self.random.uniform(0, self.seconds[stage]))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        self.killed[stage] += process.returncode == -signal.SIGKILL
        self.found["half_written"] += _half_written(self.pool)

    def restart(self, stage: str, day: date) -> None:
        """Run the stage again to its end, and count what the kill has left for good."""
        process = self._begin(stage, day)
        begun = time.monotonic()
        printed, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{stage} of {day} does not heal:\n{printed[-4000:]}")
        self.seconds[stage] = time.monotonic() - begun
        self.found.update(_left_behind(self.pool))

    def _begin(self, stage: str, day: date) -> "subprocess.Popen[str]":
        process = self.pool.start(stage, day)
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == BEGUN:
                break
        return process


def run(kills: int = 60, symbols: str = "BTC,ETH") -> dict[str, Any]:
    """Kill so often, one kill for each stage and day in turn; give what was left and lost."""
    with tempfile.TemporaryDirectory() as folder:
        hurt = DrillPool.make(Path(folder) / "hurt", SYMBOLS=symbols)
        twin = DrillPool.make(Path(folder) / "twin", SYMBOLS=symbols)
        killer = Killer(hurt, random.Random(SEED))
        expected = [FIRST_DAY + timedelta(days=n) for n in range(math.ceil(kills / len(STAGES)))]
        undisturbed = twin.start(",".join(STAGES), *expected)
        days: list[date] = []
        while killer.killed.total() < kills:
            days.append(FIRST_DAY + timedelta(days=len(days)))
            for stage in STAGES:
                if killer.killed.total() < kills:
                    killer.kill(stage, days[-1])
                killer.restart(stage, days[-1])
        printed, _ = undisturbed.communicate()
        if undisturbed.returncode:
            raise RuntimeError(f"the undisturbed life failed:\n{printed[-4000:]}")
        if len(days) > len(expected):  # some stages were quicker than their kill
            twin.complete(",".join(STAGES), *days[len(expected) :])
        _let_unowned_runs_age(hurt, days[-1])
        return {
            "kills": killer.killed.total(),
            **{f"kills_of_{stage}": killer.killed[stage] for stage in STAGES},
            "days": len(days),
            **_figures(killer),
            **_compare(hurt, twin),
        }


def _figures(killer: Killer) -> dict[str, int]:
    names = ("half_written", "runs_unfinished", "slots_held", "mlflow_running")
    return {name: killer.found[name] for name in names}


def _half_written(pool: DrillPool) -> int:
    """How many stored files under their final names cannot be read, right after the kill."""
    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.adapters.prediction_tables import LINK_NAME, query
    from crypto_pool.errors import CryptoPoolError

    store, broken = FrameStore(pool.frames_root), 0
    for table in _tables(pool.frames_root):
        for key in store.keys(table):
            try:
                store.read(table, key)
            except CryptoPoolError:
                broken += 1
    if (pool.data / LINK_NAME).is_symlink():
        try:
            query(pool.data, "SELECT count(*) FROM predictions")
        except CryptoPoolError:
            broken += 1
    return broken


def _tables(root: str) -> list[str]:
    files, path = fsspec.core.url_to_fs(root)
    files.invalidate_cache()
    found = files.ls(path, detail=True) if files.exists(path) else []
    names = (str(entry["name"]) for entry in found if entry["type"] == "directory")
    return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in names)


def _left_behind(pool: DrillPool) -> dict[str, int]:
    """What is left of the killed run after the restart: Dagster's runs and slots, MLflow's runs."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(pool.home)) as instance:
        unfinished = [run for run in instance.get_runs() if not run.is_finished]
        slots = instance.event_log_storage.get_concurrency_run_ids()
    return {
        "runs_unfinished": len(unfinished),
        "slots_held": len(slots),
        "mlflow_running": len(_mlflow_running(pool, owned=True)),
    }


def _mlflow_running(pool: DrillPool, *, owned: bool) -> list[Any]:
    """MLflow runs that are RUNNING; without an owner they may be for a minute."""
    from crypto_pool.adapters.mlflow.candidate_run import (
        DAGSTER_RUN_TAG,
        PARENT_DAGSTER_RUN_TAG,
    )

    registry = pool.registry
    ids = [found.experiment_id for found in registry.client.search_experiments()]
    running = registry.client.search_runs(ids, "attributes.status = 'RUNNING'", max_results=1000)
    owners = {DAGSTER_RUN_TAG, PARENT_DAGSTER_RUN_TAG}
    return [run for run in running if bool(owners & run.data.tags.keys()) is owned]


def _let_unowned_runs_age(pool: DrillPool, day: date) -> None:
    """Wait until a run killed between its birth and its naming is old enough to be ended."""
    unowned = _mlflow_running(pool, owned=False)
    if not unowned:
        return
    youngest = max(run.info.start_time for run in unowned) / 1000
    time.sleep(max(0.0, youngest + MLFLOW_UNOWNED_SECONDS + 1 - time.time()))
    pool.complete("publish", day)
    left = len(_mlflow_running(pool, owned=False))
    if left:
        raise RuntimeError(f"{left} MLflow runs without an owner stay RUNNING")


def _compare(hurt: DrillPool, twin: DrillPool) -> dict[str, Any]:
    """How the predictions, and the contents of all tables, differ from the twin's."""
    from crypto_pool.domain.tables import TABLES

    key = ["prediction_date", "symbol", "trend"]
    keys = {name: _rows(pool, "predictions", key) for name, pool in (("a", hurt), ("b", twin))}
    differing = [table for table in TABLES if _rows(hurt, table) != _rows(twin, table)]
    return {
        "predictions": len(keys["a"]),
        "predictions_duplicate": len(keys["a"]) - len(set(keys["a"])),
        "predictions_lost": len(set(keys["b"]) - set(keys["a"])),
        "predictions_too_many": len(set(keys["a"]) - set(keys["b"])),
        "tables_compared": len(TABLES),
        "tables_differing": differing,
    }


def _rows(pool: DrillPool, table: str, columns: Sequence[str] = ()) -> list[str]:
    """The rows of a table as sorted text, numbers to twelve digits."""
    from crypto_pool.adapters.prediction_tables import query

    frame = query(pool.data, f"SELECT * FROM {table}")
    if HASHES in frame:
        frame[HASHES] = frame[HASHES].map(_repeatable)
    chosen = list(columns) or [name for name in frame if name not in NOT_CONTENT]
    return sorted(
        "|".join(_text(value) for value in row)
        for row in frame[chosen].itertuples(index=False, name=None)
    )


def _repeatable(hashes: object) -> object:
    """Give the hashes of a model's files without the archive's, which still is named."""
    if not isinstance(hashes, str) or not hashes:
        return hashes
    known = json.loads(hashes)
    return json.dumps({**known, **({ARCHIVE: "any"} if known.get(ARCHIVE) else {})}, sort_keys=True)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"
    return "" if value is None or value is pd.NaT else str(value)
