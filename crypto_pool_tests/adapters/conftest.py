import sqlite3
import subprocess
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from crypto_pool.adapters.backup import PoolFolders
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.artifact import hashes_of, model_files
from crypto_pool.adapters.mlflow.recording import write_files
from crypto_pool.adapters.mlflow.version import READ
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.adapters.rate_limit import RequestBudget
from crypto_pool.domain.calibrations import IdentityCalibration
from crypto_pool.domain.candidates import CANDIDATES, ClassBalance
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.request_plans import RequestPlan
from crypto_pool.domain.served_model import ServedModel
from crypto_pool.sandbox.server import serving
from crypto_pool_tests.adapters.alpha_vantage_desk import Desk
from crypto_pool_tests.adapters.loopback_exchange import LAST
from crypto_pool_tests.adapters.pool_folders import decision, folders_in, registry_of
from crypto_pool_tests.adapters.spent_requests import Clock
from crypto_pool_tests.exchange_server import ExchangeSandbox, serve_exchange

MEMBER = "BTC_uptrend"
MakeFit = Callable[..., TrainedCandidate]
ROWS = 240
FEATURES = tuple(f"feature_{number}" for number in range(19))


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    generator = np.random.default_rng(3)
    frame = pd.DataFrame(generator.normal(size=(ROWS, len(FEATURES))), columns=list(FEATURES))
    return frame.assign(reference_logit=generator.normal(size=ROWS))


@pytest.fixture(scope="session")
def labels(rows: pd.DataFrame) -> np.ndarray:
    noise = np.random.default_rng(4).normal(size=ROWS)
    return (rows["feature_0"].to_numpy() + noise > 0).astype(np.int64)


@pytest.fixture(scope="session")
def fitted(rows: pd.DataFrame, labels: np.ndarray) -> Callable[[str], Any]:
    """Give a fitted estimator by algorithm, each fitted once."""
    known: dict[str, Any] = {}

    def fit(algorithm: str) -> Any:
        if algorithm not in known:
            estimator = CANDIDATES[algorithm].build(ClassBalance.of(labels), 7)
            if algorithm == "NeuralNet":
                estimator.set_params(epochs=2)
            with warnings.catch_warnings():  # few rows do not make the perceptron converge
                warnings.simplefilter("ignore", ConvergenceWarning)
                known[algorithm] = estimator.fit(rows[list(FEATURES)], labels)
        return known[algorithm]

    return fit


@pytest.fixture
def registry(tmp_path: Path, empty_store: bytes) -> ModelRegistry:
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    made = ModelRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", str(tmp_path / "artifacts"))
    made.prepare()
    return made


@pytest.fixture
def candidate_fit(fitted: Callable[[str], Any]) -> MakeFit:
    """Give a trained candidate; keywords replace its fields."""

    def make(algorithm: str = "XGBoost", **changes: Any) -> TrainedCandidate:
        days = pd.date_range("2021-01-01", periods=4)
        fields: dict[str, Any] = {
            "algorithm": algorithm,
            "model": ServedModel(algorithm, IdentityCalibration(), FEATURES, fitted(algorithm)),
            "decision_threshold": 0.5,
            "trained_through": days[-1],
            "chosen_through": days[-1],
            "metrics": {
                "overall_score": 0.7,
                "roc_auc": None,
                "reference_overall_score": 0.6,
                "reference_roc_auc": float("nan"),
            },
            "evaluation": pd.DataFrame(
                {"label": 1, "probability": 0.5, "baseline_probability": 0.4}, index=days
            ),
            "class_weights": {0: 1.0, 1: 1.1},
            "member_name": MEMBER,
            "as_of": days[-1].date(),
            "data_hash": "d1",
            "code_version": "c1",
            "synthetic": True,
        }
        return TrainedCandidate(**{**fields, **changes})

    return make


def log(
    registry: ModelRegistry, candidate: TrainedCandidate, parent: str | None = None
) -> TrainedCandidate:
    """Log a candidate under a key of its algorithm."""
    return registry.runs.log(candidate, f"k-{candidate.algorithm}", "dagster-1", parent)


def make_frame(rows: int = 3, start: float = 0.0) -> pd.DataFrame:
    """Floats on a daily index named date."""
    index = pd.DatetimeIndex(pd.date_range("2024-01-01", periods=rows), freq=None, name="date")
    return pd.DataFrame({"close": np.arange(rows) + start + 0.1}, index=index)


def kill_while_writing(path: Path) -> None:
    """Leave the half-written file of a process that was killed."""
    code = (
        "import os, sys, pathlib; "
        "from crypto_pool.adapters.unfinished_files import name_unfinished; "
        "name_unfinished(pathlib.Path(sys.argv[1])).write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FrameStore:
    """A store on the disk and one on a remote-like filesystem."""
    if request.param == "local":
        return FrameStore(str(tmp_path / "new" / "store"))
    return FrameStore(f"memory://{uuid.uuid4().hex}/store")


SaveModel = Callable[[str], tuple[Path, dict[str, str]]]


@pytest.fixture
def saved(tmp_path: Path, fitted: Callable[[str], Any]) -> SaveModel:
    def save(algorithm: str) -> tuple[Path, dict[str, str]]:
        folder = tmp_path / algorithm
        model = ServedModel(algorithm, IdentityCalibration(), FEATURES, fitted(algorithm))
        files = model_files(model)
        folder.mkdir()
        write_files(files, str(folder))
        return folder, hashes_of(files)

    return save


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Callable[[RequestPlan], RequestBudget]:
    return lambda plan: RequestBudget(tmp_path, plan, now=clock)


TAGS = {
    **dict.fromkeys(READ, "0.5"),
    **dict.fromkeys(("as_of", "chosen_through", "trained_through"), "2023-05-31"),
    **{"target": "sma_shift", "prediction_window_days": "10", "skill_interval": "[]"},
}


@pytest.fixture
def pool(tmp_path: Path, empty_store: bytes, candidate_fit: MakeFit) -> PoolFolders:
    """A pool with one champion, its forecast, the ledger, a publication and Dagster's history."""
    folders = folders_in(tmp_path / "home one")
    folders.mlflow.mkdir(parents=True)
    (folders.mlflow / "mlflow.db").write_bytes(empty_store)
    registry = registry_of(folders)
    run = log(registry, candidate_fit())
    version = registry.versions.register(MEMBER, run, TAGS)
    store = FrameStore(folders.frames_root)
    store.claim("sandbox")
    Ledger(store).record(decision(version, 0))
    registry.versions.set_aliases(MEMBER, {"champion": version})
    forecasts = pd.DataFrame(
        {
            "prediction_date": [date(2023, 5, 31)],
            "symbol": ["BTC"],
            "trend": ["uptrend"],
            "probability": [0.7],
            "model_version": [version],
        }
    )
    store.write("daily_predictions", "2023-05-31", forecasts)
    publish(folders.data_dir, {"predictions": forecasts})
    publish(folders.data_dir, {"predictions": forecasts})
    (folders.data_dir / "raw_answers" / "2023-06-01").mkdir(parents=True)
    (folders.data_dir / "raw_answers" / "2023-06-01" / "BTC.json.gz").write_bytes(b"answer")
    (folders.dagster_home / "history").mkdir()
    with closing(sqlite3.connect(folders.dagster_home / "history" / "runs.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE runs (run_id TEXT)")
        connection.execute("INSERT INTO runs VALUES ('r1')")
        connection.commit()
    return folders


@pytest.fixture
def sandbox() -> ExchangeSandbox:
    return ExchangeSandbox(("BTC", "ETH"), today=LAST + timedelta(days=1))


@pytest.fixture
def url(sandbox: ExchangeSandbox) -> Iterator[str]:
    with serve_exchange(sandbox) as address:
        yield address


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    with serving(made.server) as made.url:
        yield made
