"""What a member costs under purged_walk_forward, in units of ten bare holdout fits.

Run `python -m benchmarks.training_cost`; it ends with 1 if the ratio is above the limit.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import json
import statistics
import sys
import tempfile
import time
import warnings
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.domain.candidates import CANDIDATES, ClassBalance
from crypto_pool.domain.features import build_features
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.members import Member
from crypto_pool.domain.policies import TRAIN_FRACTION
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.training import TrainingTable, training_table
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.training import TrainingTask, import_libraries, train_candidate

LIMIT = 6.0
REPETITIONS = 3
AS_OF = date(2023, 6, 30)
SEEDS = count(7)


def training_rows() -> TrainingTable:
    """A thousand labelled rows of one synthetic coin."""
    bars = SyntheticMarket().bars("BTC", AS_OF)
    features = build_features(compute_indicators(bars))
    return training_table(bars, features, "uptrend", pd.Timestamp(AS_OF))


def bare_fit_seconds(table: TrainingTable, algorithm: str) -> float:
    """Time one fit on the rows holdout trains on, and nothing else."""
    boundary = int(len(table) * TRAIN_FRACTION)
    labels = table.labels[:boundary]
    started = time.perf_counter()
    CANDIDATES[algorithm].build(ClassBalance.of(labels), 7).fit(
        table.features.iloc[:boundary], labels
    )
    return time.perf_counter() - started


def member_seconds(table: TrainingTable, algorithm: str, registry: ModelRegistry) -> float:
    """Time folds, calibration, refit and logging of one candidate."""
    task = TrainingTask(
        member=Member.parse("BTC_uptrend"),
        algorithm=algorithm,
        table=table,
        as_of=AS_OF,
        recipe=Recipe(seed=next(SEEDS)),  # a known key would be reused
        synthetic=True,
        registry=registry,
        parent_run_id="",
        dagster_run_id="benchmark",
    )
    started = time.perf_counter()
    result = train_candidate(task)
    assert isinstance(result, TrainedCandidate), result.reason
    return time.perf_counter() - started


def measure() -> dict[str, Any]:
    """Measure both in turn, after a first round that compiles, and give the medians."""
    warnings.simplefilter("ignore")
    table = training_rows()
    import_libraries()
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        registry = ModelRegistry(f"sqlite:///{Path(folder) / 'mlflow.db'}", f"{folder}/artifacts")
        registry.prepare()
        medians: dict[str, tuple[float, float]] = {}
        for name in CANDIDATES:
            bare, whole = [], []
            for _ in range(REPETITIONS + 1):
                bare.append(bare_fit_seconds(table, name))
                whole.append(member_seconds(table, name, registry))
            medians[name] = statistics.median(bare[1:]), statistics.median(whole[1:])
    bare_total = sum(bare for bare, _ in medians.values())
    whole_total = sum(whole for _, whole in medians.values())
    ratio = whole_total / bare_total
    return {
        "rows": len(table),
        "limit": LIMIT,
        "ratio": round(ratio, 2),
        "bare_seconds": round(bare_total, 2),
        "purged_walk_forward_seconds": round(whole_total, 2),
        "by_candidate": {n: [round(b, 3), round(w, 3)] for n, (b, w) in medians.items()},
    }


def figures() -> dict[str, float]:
    """Give the ratio, and the seconds of a member's ten candidates on one core."""
    report = measure()
    return {
        "training_cost_ratio": report["ratio"],
        "member_training_s": report["purged_walk_forward_seconds"],
    }


def main() -> int:
    """Print the report; 1 if the ratio is above the limit."""
    report = measure()
    print(json.dumps(report, indent=2))
    return int(report["ratio"] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
