"""This code against version 1.0.0, in turn on one machine: training, a pool, its day, a replay.

`python -m benchmarks.against_1_0_0 [member] [pool] [day] [serve] [replay]` unpacks the old code
beside this one and runs the same work with both, in the same environment: the pool of twenty coins,
the replay of four, or as many as `--coins` says. Compared is the processor time of a process and
all below it, which another's load on the machine changes little, and, beside it, the wall time;
of a server, its resident memory, which is the same whatever else shares pages with it.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter

import numpy as np
import psutil

from benchmarks._pool import FEWEST_EXPLAINED, LAST_DAY, ROOT, SYMBOLS
from benchmarks.serving_load import read_port

OLD = "2ff3983"
PARTS = ("member", "pool", "day", "serve", "replay")
# The most the new code's share of the old one's time or memory may be.
GOALS = {
    "member_ratio_of_processor_s": 0.55,
    "pool_ratio_of_wall_s": 0.5,
    "day_ratio_of_processor_s": 0.45,
    "replay_ratio_of_processor_s": 0.5,
    "serve_ratio_of_mib": 1.01,  # one process of the same code differs by as much from the next
}
COINS = {"member": 1, "pool": 20, "replay": 4}
CLI = "import sys; from crypto_pool.cli import main; sys.exit(main())"
DAY = "from benchmarks.daily_job import DAY; exec(DAY)"  # each code's own
MEMBER = """
import json, os, sys, tempfile, warnings
from time import process_time
from threadpoolctl import threadpool_limits
from benchmarks.training_cost import (
    CANDIDATES, ModelRegistry, import_libraries, member_seconds, training_rows)
warnings.simplefilter("ignore")
import_libraries()
table, spent = training_rows(), {}
with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
    registry = ModelRegistry(f"sqlite:///{folder}/mlflow.db", f"{folder}/artifacts")
    registry.prepare()
    for repetition in range(4):  # the first compiles; the least of the others is kept
        for name in CANDIDATES:
            begun = process_time()
            member_seconds(table, name, registry)
            took = process_time() - begun
            spent[name] = took if repetition < 2 else min(took, spent[name])
print(json.dumps(spent))
"""


@dataclass(frozen=True)
class Spent:
    """What a piece of work took."""

    processor_s: float
    wall_s: float
    said: str


@dataclass(frozen=True)
class Code:
    """A checkout, and a home of its own for the pool it builds."""

    tree: Path
    home: Path
    coins: tuple[str, ...]

    def environment(self, day: int = 0) -> dict[str, str]:
        """Give what a process finds around it on a day after the build's."""
        others = {name: value for name, value in os.environ.items() if "CRYPTO_POOL_" not in name}
        now = LAST_DAY + timedelta(days=day + 1)
        return {
            **others,
            "CRYPTO_POOL_SYMBOLS": ",".join(self.coins),
            "CRYPTO_POOL_EXPLAINED_ROWS": FEWEST_EXPLAINED,
            "CRYPTO_POOL_SIMULATED_NOW": f"{now}T12:00:00+00:00",
            "DAGSTER_HOME": str(self.home),
            "KERAS_BACKEND": "jax",
            "PYTHONPATH": str(self.tree),
        }

    def run(self, *command: str, day: int = 0) -> Spent:
        """Run Python with this code on a day after the build's; a failure ends the benchmark."""
        before, begun = _children_seconds(), perf_counter()
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.tree,
            env=self.environment(day),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{self.tree}: {command}: {done.returncode}\n{done.stderr[-2000:]}")
        return Spent(_children_seconds() - before, perf_counter() - begun, done.stdout)

    def cli(self, *command: str) -> Spent:
        """Run a command of the pool."""
        return self.run("-c", CLI, *command)

    def member(self) -> Spent:
        """Evaluate one member's ten candidates, compiled and imported before."""
        done = self.run("-c", MEMBER)
        parts: dict[str, float] = json.loads(done.said.splitlines()[-1])
        return Spent(sum(parts.values()), sum(parts.values()), json.dumps(parts))

    def pool(self) -> Spent:
        """Build a pool."""
        return self.cli("build")

    def day(self) -> Spent:
        """Pull, forecast and publish the days after the build; the median of three."""
        days = [self.run("-c", DAY, day=number) for number in (1, 2, 3)]
        return sorted(days, key=lambda spent: spent.processor_s)[1]

    def serve(self) -> tuple[float, float]:
        """Serve the pool; give the MiB after answers of the API, and after the pool's page."""
        server = subprocess.Popen(
            [sys.executable, "-c", CLI, "serve", "--port", "0"],
            cwd=self.tree,
            env=self.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            address = f"http://127.0.0.1:{read_port(server)}"
            measured = []
            for path in ("/predictions", "/"):
                for _ in range(20):
                    with urllib.request.urlopen(address + path) as answer:
                        answer.read()
                measured.append(psutil.Process(server.pid).memory_info().rss / 2**20)
        finally:
            server.terminate()
            server.communicate()
        return measured[0], measured[1]

    def replay(self) -> Spent:
        """Replay six rounds of training, each of thirty days: 1.0.0 never trained on the last."""
        first, last = (LAST_DAY - timedelta(days=days) for days in (180, 1))
        span = ["--from", f"{first}", "--to", f"{last}", "--retrain-every-days", "30"]
        return self.cli("replay", *span)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def both(coins: tuple[str, ...]) -> Iterator[tuple[Code, Code]]:
    """Give the old code and this one."""
    packed = subprocess.run(["git", "archive", OLD], cwd=ROOT, check=True, capture_output=True)
    with tempfile.TemporaryDirectory(prefix="crypto_pool_against_") as folder:
        tree, homes = Path(folder) / "tree", [Path(folder) / name for name in ("old", "new")]
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(tree, filter="data")
        for home in homes:
            home.mkdir()
        yield Code(tree, homes[0], coins), Code(ROOT, homes[1], coins)


def figures(parts: tuple[str, ...] = PARTS, coins: int | None = None) -> dict[str, float]:
    """Measure parts with both codes in turn; a day and a server need the pool, and build it."""
    found: dict[str, float] = {}
    for first, *others in ("member",), ("pool", "serve", "day"), ("replay",):
        chosen = [part for part in others if part in parts]
        if chosen or first in parts:
            with both(SYMBOLS[: coins or COINS[first]]) as codes:
                for part in (first, *chosen):
                    found |= _served(*codes) if part == "serve" else _compared(part, *codes)
    return found


def _served(old: Code, new: Code) -> dict[str, float]:
    served = [(old.serve(), new.serve()) for _ in range(3)]
    before, after = np.median(served, axis=0).tolist()
    return {
        f"{name}_{figure}": value
        for name, was, now in zip(("serve", "serve_with_page"), before, after, strict=True)
        for figure, value in (("mib_1_0_0", was), ("mib_now", now), ("ratio_of_mib", now / was))
    }


def _compared(part: str, old: Code, new: Code) -> dict[str, float]:
    before, after = (getattr(code, part)() for code in (old, new))
    found: dict[str, float] = {}
    for kind in ("processor_s", "wall_s"):
        ratio = getattr(after, kind) / getattr(before, kind)
        found |= {
            f"{part}_{kind}_1_0_0": getattr(before, kind),
            f"{part}_{kind}_now": getattr(after, kind),
            f"{part}_ratio_of_{kind}": ratio,
        }
    if part == "member":
        was, now = json.loads(before.said), json.loads(after.said)
        found |= {f"member_{name}_s_1_0_0": was[name] for name in was}
        found |= {f"member_{name}_s_now": now[name] for name in now}
    return found


def main() -> None:
    """Print each figure, and the ratios beside their goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--coins", type=int)
    chosen = parser.parse_args()
    for name, value in figures(tuple(chosen.parts) or PARTS, chosen.coins).items():
        goal = f"  at most {GOALS[name]}" if name in GOALS else ""
        print(f"{name:<44}{value:>10.2f}{goal}")


if __name__ == "__main__":
    main()
