"""How a pool's costs grow with its coins, and at how many each part would stop.

For each size, synthetic coins are built under `holdout` with two of the ten algorithms: fits grow
with the members by themselves, everything else need not. A day is added, the sensor of stale
members is evaluated, and the Dagster UI is asked for what its page of the champions shows: all
partitions with their state. Where a part would stop is read off a straight line through the two
largest sizes. `python -m benchmarks.growth 5 20` measures some sizes and keeps nothing.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from statistics import median
from subprocess import Popen
from typing import Any

from benchmarks._inside import seconds_of, storage, tick
from benchmarks._pool import LAST_DAY, SYMBOLS, BuiltPool, built_pool
from benchmarks.daily_job import daily_seconds
from drills._services import Services, free_port

SIZES = (5, 20, 80, 320)
ALGORITHMS = ("LightGBM", "RidgeClassifier")
UI_REPEATS = 3
NEXT_DAY = LAST_DAY + timedelta(days=1)
INSIDE = "--inside"
PARTITIONS = """
query { assetNodeOrError(assetKey: {path: ["champion"]}) { ... on AssetNode {
  partitionKeysByDimension { name partitionKeys }
  assetPartitionStatuses { ... on MultiPartitionStatuses { primaryDimensionName ranges {
    primaryDimStartKey primaryDimEndKey
    secondaryDim { ... on DefaultPartitionStatuses {
      materializedPartitions failedPartitions materializingPartitions
    } }
  } } }
} } }
"""
# What a part may take before it stops the pool: the seconds a user or Dagster gives it, and disk.
LIMITS = {
    "build_s": 86_400.0,
    "daily_job_s": 3_600.0,
    "retrain_stale_tick_s": 60.0,
    "ui_partitions_s": 60.0,
    "build_peak_mib": 24 * 1024.0,
    "duckdb_mib": 100 * 1024.0,
    "artifacts_mib": 100 * 1024.0,
    "dagster_mib": 100 * 1024.0,
}


def figures(sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Give the figures by size, and where the parts would stop."""
    by_size = {}
    for size in sizes:
        by_size[str(size)] = measure(size)
        print(f"{size} coins: {json.dumps(by_size[str(size)])}", flush=True)
    found: dict[str, Any] = dict(by_size)
    if len(sizes) > 1:
        found["stops_at_symbols"] = stops(by_size)
    return {"growth": found}


def measure(size: int) -> dict[str, float]:
    """Build a pool of so many coins and measure it."""
    coins = [*SYMBOLS, *(f"C{number:04d}" for number in range(len(SYMBOLS), size))][:size]
    pool = built_pool("holdout", symbols=tuple(coins), algorithms=ALGORITHMS)
    daily, _ = daily_seconds(pool, days=1)
    found = {"build_s": pool.seconds, "build_peak_mib": pool.peak_mib, "daily_job_s": daily}
    command = [sys.executable, "-m", "benchmarks.growth", INSIDE]
    inside = subprocess.run(
        command,
        env=dict(pool.environment_on(NEXT_DAY)),
        cwd=pool.home,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found |= json.loads(inside.stdout.splitlines()[-1])
    with dagster_ui(pool) as port:
        _ask(port)  # loads the code location
        answers: list[bytes] = []
        seconds = [seconds_of(lambda: answers.append(_ask(port))) for _ in range(UI_REPEATS)]
    assert json.loads(answers[-1])["data"]["assetNodeOrError"]["partitionKeysByDimension"]
    found |= {"ui_partitions_s": median(seconds), "ui_partitions_kib": len(answers[-1]) / 1024}
    found["ui_ms_a_member"] = median(seconds) * 1000 / pool.members
    return {name: round(value, 4) for name, value in found.items()}


def stops(by_size: Mapping[str, Mapping[str, float]]) -> dict[str, int]:
    """Extend the line through the two largest sizes to each limit."""
    smaller, larger = sorted(map(int, by_size))[-2:]
    before, after = by_size[str(smaller)], by_size[str(larger)]
    reached = {}
    for name, limit in LIMITS.items():
        slope = (after[name] - before[name]) / (larger - smaller)
        if slope > 0:
            reached[name] = round(larger + (limit - after[name]) / slope)
    return reached


@contextmanager
def dagster_ui(pool: BuiltPool) -> Iterator[int]:
    """Serve the Dagster UI of a pool; gives its port."""
    port = free_port()
    command = [sys.executable, "-m", "crypto_pool.commands.dagster_ui", "-h", "127.0.0.1"]
    command += ["-p", str(port), "-m", "crypto_pool.definitions"]
    with (pool.home / "ui.log").open("w") as log:
        server = Popen(
            command,
            env=pool.environment_on(NEXT_DAY),
            cwd=pool.home,
            stdout=log,
            stderr=log,
        )
    try:
        Services(server, port, pool.home / "ui.log").await_answer()
        yield port
    finally:
        server.terminate()
        server.wait(timeout=60)


def _ask(port: int) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": PARTITIONS}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        found: bytes = answer.read()
    return found


def measure_inside() -> dict[str, float]:
    """The tick of the sensor, and the stores, of the pool of the environment."""
    from crypto_pool.building import open_instance
    from crypto_pool.definitions import defs
    from crypto_pool.settings import load_settings

    settings = load_settings()
    repository = defs.get_repository_def()
    with open_instance(settings) as instance:
        seconds = seconds_of(lambda: tick(repository, instance, "retrain_stale"))
    stored = storage(settings.state_dir, settings.dagster_home.resolve())
    return {"retrain_stale_tick_s": seconds, **stored}


if __name__ == "__main__":
    if sys.argv[1:] == [INSIDE]:
        with redirect_stdout(sys.stderr):
            own = measure_inside()
        print(json.dumps(own))
    else:
        chosen = tuple(map(int, sys.argv[1:])) or SIZES
        print(json.dumps(figures(chosen), indent=2))
