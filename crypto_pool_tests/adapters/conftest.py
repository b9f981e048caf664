import os
import warnings

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from crypto_pool.adapters.model_records import CandidateFit
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.domain.calibration import IdentityCalibration
from crypto_pool.domain.candidates import CANDIDATES, ClassBalance

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


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give the bytes of an SQLite store that `prepare` made, to spare each test its schema."""
    folder = tmp_path_factory.mktemp("store")
    ModelRegistry(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts")).prepare()
    return (folder / "mlflow.db").read_bytes()


@pytest.fixture
def registry(tmp_path: Path, empty_store: bytes) -> ModelRegistry:
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    made = ModelRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", str(tmp_path / "artifacts"))
    made.prepare()
    return made


@pytest.fixture
def candidate_fit(fitted: Callable[[str], Any]) -> Callable[..., CandidateFit]:
    """Give the record of a trained candidate; keywords replace its fields."""

    def make(algorithm: str = "XGBoost", **changes: Any) -> CandidateFit:
        fields: dict[str, Any] = {
            "member_name": "BTC_uptrend",
            "algorithm": algorithm,
            "estimator": fitted(algorithm),
            "calibration": IdentityCalibration(),
            "feature_names": FEATURES,
            "metrics": {"overall_score": 0.7, "roc_auc": None},
            "reference_metrics": {"overall_score": 0.6, "roc_auc": float("nan")},
            "data_hash": "d1",
            "code_version": "c1",
            "training_key": f"k-{algorithm}",
            "dagster_run_id": "dagster-1",
            "parent_run_id": None,
            "synthetic": True,
            "parameters": {"seed": 7, "class_weight": {0: 1.0, 1: 1.1}},
            "settings": {"horizon": 10},
        }
        return CandidateFit(**{**fields, **changes})

    return make
