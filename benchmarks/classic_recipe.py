"""The pool against a loop as most people would write it, under `holdout`.

The loop: members one after the other, ten fits with the libraries' own threading, `log_model`
with its defaults, `shap.KernelExplainer` with 200 background rows on the winner's test rows. It is
measured on a sample of members and scaled to all; the explanation is timed on a few rows of one
member for each algorithm and scaled to the test rows. What a member's explanation costs depends on
who wins it: each algorithm's counts as often as it serves in the pool, and a member without a
champion is explained by neither. The pool: `crypto-pool build` for all coins, once with the fewest
rows explained and once with its default.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import tempfile
import warnings
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._pool import BuiltPool, built_pool, member_rows
from crypto_pool.adapters.prediction_tables import query
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.training import TrainingTable

SAMPLE = (("BTC", "uptrend"), ("ETH", "downtrend"))
TRAIN_FRACTION = 0.95
BACKGROUND_ROWS = 200
EXPLAINED_ROWS = 2
EPOCHS = 100
DEFAULT_EXPLAINED = "60"
CALIBRATORS = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
)


def classic_estimators(labels: np.ndarray) -> dict[str, Any]:
    """The ten algorithms as their documentation shows them."""
    from lightgbm import LGBMClassifier
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import (
        AdaBoostClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.linear_model import RidgeClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    from xgboost import XGBClassifier

    ratio = (labels == 0).sum() / max(labels.sum(), 1)
    svm = SVC(class_weight="balanced")
    ridge = RidgeClassifier(class_weight="balanced")
    return {
        "RandomForest": RandomForestClassifier(class_weight="balanced"),
        "SupportVectorMachine": make_pipeline(StandardScaler(), CalibratedClassifierCV(svm)),
        "XGBoost": XGBClassifier(scale_pos_weight=ratio),
        "HistGradientBoosting": HistGradientBoostingClassifier(class_weight="balanced"),
        "AdaBoost": AdaBoostClassifier(),
        "RidgeClassifier": make_pipeline(StandardScaler(), CalibratedClassifierCV(ridge)),
        "KNeighbors": make_pipeline(StandardScaler(), KNeighborsClassifier()),
        "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier()),
        "LightGBM": LGBMClassifier(class_weight="balanced", verbose=-1),
    }


def keras_network(rows: np.ndarray, labels: np.ndarray) -> Any:
    """The network, compiled and fitted by Keras."""
    import keras

    normalisation = keras.layers.Normalization()
    normalisation.adapt(rows)
    network = keras.Sequential(
        [
            keras.Input(shape=(rows.shape[1],)),
            normalisation,
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    network.compile(optimizer="adam", loss="binary_crossentropy")
    network.fit(rows, labels, epochs=EPOCHS, verbose=0)
    return network


def train_member(table: TrainingTable) -> Mapping[str, Callable[[Any], np.ndarray]]:
    """Fit, score and log the ten of one member; give what predicts, by algorithm."""
    import mlflow
    import mlflow.keras
    import mlflow.lightgbm
    import mlflow.sklearn
    import mlflow.xgboost

    rows, test, labels, truth = split(table)
    flavours = {"XGBoost": mlflow.xgboost, "LightGBM": mlflow.lightgbm}
    trusted = {  # MLflow refuses these parts of scikit-learn without it
        name: {"skops_trusted_types": [*candidate.trusted_types, *CALIBRATORS]}
        for name, candidate in CANDIDATES.items()
        if candidate.trusted_types and name not in flavours
    }
    predictors: dict[str, Callable[[Any], np.ndarray]] = {}
    for name, estimator in classic_estimators(labels).items():
        with mlflow.start_run(run_name=name):
            estimator.fit(rows, labels)
            predictors[name] = _positive(estimator)
            mlflow.log_metric("brier_score", float(((predictors[name](test) - truth) ** 2).mean()))
            flavours.get(name, mlflow.sklearn).log_model(
                estimator, name="model", **trusted.get(name, {})
            )
    with mlflow.start_run(run_name="NeuralNet"):
        network = keras_network(rows.to_numpy(), labels)
        predictors["NeuralNet"] = lambda data: network.predict(np.asarray(data), verbose=0)[:, 0]
        error = (predictors["NeuralNet"](test) - truth) ** 2
        mlflow.log_metric("brier_score", float(error.mean()))
        mlflow.keras.log_model(network, name="model")
    return predictors


def split(table: TrainingTable) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, np.ndarray]:
    """The first rows train, the last test."""
    boundary = int(len(table) * TRAIN_FRACTION)
    features, labels = table.features, table.labels
    return features[:boundary], features[boundary:], labels[:boundary], labels[boundary:]


def kernel_explanation_seconds(predict: Callable[[Any], np.ndarray], table: TrainingTable) -> float:
    """Explain some test rows by KernelExplainer and scale to all of them."""
    import shap

    rows, test, _, _ = split(table)
    background = rows.iloc[np.linspace(0, len(rows) - 1, BACKGROUND_ROWS).astype(int)]
    names = list(rows.columns)
    explainer = shap.KernelExplainer(
        lambda values: predict(pd.DataFrame(values, columns=names)), background
    )
    started = perf_counter()
    explainer.shap_values(test.iloc[:EXPLAINED_ROWS], silent=True)
    return (perf_counter() - started) / EXPLAINED_ROWS * len(test)


def winners(pool: BuiltPool) -> list[str]:
    """The algorithm of each champion of a built pool."""
    return list(query(pool.home / "data", "SELECT algorithm FROM champions")["algorithm"])


def figures() -> dict[str, float]:
    """Give both speed-ups, and the classic explanation of each algorithm."""
    import mlflow

    warnings.simplefilter("ignore")
    ours = built_pool("holdout")
    explained = built_pool("holdout", DEFAULT_EXPLAINED)
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.create_experiment("classic", artifact_location=f"{folder}/artifacts")
        mlflow.set_experiment("classic")
        started = perf_counter()
        for symbol, trend in SAMPLE:
            predictors = train_member(member_rows(symbol, trend))
        member = (perf_counter() - started) / len(SAMPLE)
    table = member_rows(*SAMPLE[-1])
    by_algorithm = {
        name: kernel_explanation_seconds(predict, table) for name, predict in predictors.items()
    }
    explanation = sum(map(by_algorithm.__getitem__, winners(explained))) / explained.members
    return {
        "classic_speedup_without_explanations": member / (ours.seconds / ours.members),
        "classic_speedup": (member + explanation) / (explained.seconds / explained.members),
        "classic_member_s": member,
        "pool_member_s": ours.seconds / ours.members,
        "pool_member_explained_s": explained.seconds / explained.members,
        "classic_member_explanation_s": explanation,
        **{f"classic_explanation_{name}_s": value for name, value in by_algorithm.items()},
    }


def _positive(estimator: Any) -> Callable[[Any], np.ndarray]:
    return lambda data: np.asarray(estimator.predict_proba(data))[:, 1]


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{name}: {value:.2f}")
