"""Extensions loaded from a home as a pool loads them, and a candidate of theirs to train."""

import sys
from datetime import date
from pathlib import Path

import pandas as pd

from crypto_pool.adapters import extensions
from crypto_pool.adapters.extensions import Extensions
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.training import training_table
from crypto_pool.replay.memory import MemoryRegistry
from crypto_pool.workflow.training import TrainingTask

FOLDER = Path(__file__).parent
NAMES = ("my_candidate", "my_feature", "my_provider", "my_channel")
LAST = date(2021, 11, 30)
RECIPE = Recipe(evaluation_policy="holdout")


def load(home: Path, **sources: str) -> dict[str, str]:
    """Load modules of these sources from a home; return what is broken."""
    for name, source in sources.items():
        (home / f"{name}.py").write_text(source)
        sys.modules.pop(name, None)
    extensions._load.cache_clear()
    return dict(Extensions(tuple(sources), str(home)).load())


def example(name: str) -> str:
    return (FOLDER / f"{name}.py").read_text()


def task_of(bars: pd.DataFrame, algorithm: str, folder: Path) -> TrainingTask:
    features = build_features(compute_indicators(bars), bars=bars)
    return TrainingTask(
        member=Member("BTC", Trend.UPTREND),
        algorithm=algorithm,
        table=training_table(bars, features, "uptrend", pd.Timestamp(LAST), RECIPE),
        as_of=LAST,
        recipe=RECIPE,
        synthetic=True,
        registry=MemoryRegistry(folder, RECIPE),
        parent_run_id=None,
        dagster_run_id="test",
    )
