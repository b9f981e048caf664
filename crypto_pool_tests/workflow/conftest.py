import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

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
