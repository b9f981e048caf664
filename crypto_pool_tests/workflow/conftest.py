import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.bar_validation import BAR_COLUMNS
from crypto_pool.workflow import day_forecasts
from crypto_pool.workflow.forecasting import ServingVersion
from crypto_pool_tests.workflow.forecast_days import COINS, say
from crypto_pool_tests.workflow.small_pool import FIRST, SECOND, SmallPool

PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@pytest.fixture(scope="session")
def trained(built_once: Callable[..., Path]) -> Path:
    """Candidates of two dates, the first date's winner serving."""

    def build(folder: Path) -> None:
        pool = SmallPool(folder)
        pool.write_features()
        pool.train(FIRST)
        pool.train(SECOND)
        decision = pool.appoint(FIRST)
        assert decision.decision == "promoted", decision

    return built_once("small_pool", build)


@pytest.fixture
def pool(trained: Path, tmp_path: Path) -> SmallPool:
    """A copy for each test; MLflow stores absolute paths, which are put right."""
    folder = tmp_path / "state"
    shutil.copytree(trained, folder)
    with closing(sqlite3.connect(folder / "mlflow.db")) as store, store:
        for table, column in PATHS:
            store.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                (str(trained), str(folder)),
            )
    return SmallPool(folder)


@pytest.fixture
def quick_models(monkeypatch):
    """Models are told from others by their version; choosing and joining is what is tested."""
    monkeypatch.setattr(day_forecasts, "forecast", say)
    monkeypatch.setattr(
        day_forecasts,
        "choose_forecaster",
        lambda registry, champion, *_: (
            champion.version and ServingVersion(champion.member, champion.version)
        ),
    )


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    made = FrameStore(str(tmp_path / "parquet"))
    days = pd.date_range("2023-10-01", "2024-04-01", name="date")
    for coin in COINS:
        made.write("daily_bars", coin, pd.DataFrame(dict.fromkeys(BAR_COLUMNS, 1.0), index=days))
    return made
