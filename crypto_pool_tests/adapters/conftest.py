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

from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.domain.calibrations import IdentityCalibration
from crypto_pool.domain.candidates import CANDIDATES, ClassBalance
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.served_model import ServedModel

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
def candidate_fit(fitted: Callable[[str], Any]) -> Callable[..., TrainedCandidate]:
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
            "member_name": "BTC_uptrend",
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
