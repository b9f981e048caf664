"""Readers of the three formats that version 1.0 stored beside skops; nothing is written so now.

They get bytes whose hash the caller has checked already, so what was checked is what is read.
"""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crypto_pool.errors import UntrustedModel

TRUSTED_KERAS_CLASSES = frozenset(
    {
        "Adam",
        "Dense",
        "DTypePolicy",
        "Functional",
        "GlorotUniform",
        "InputLayer",
        "Normalization",
        "Sequential",
        "Zeros",
        "__keras_tensor__",
        "__tuple__",
    }
)


@dataclass(frozen=True)
class NativeFormat:
    """The algorithm stored in it, its file and its reader."""

    algorithm: str
    file: str
    read: Callable[[bytes], Any]


class BoosterClassifier:
    """A stored LightGBM booster with the face of a classifier."""

    def __init__(self, booster: Any) -> None:
        """Wrap a binary booster whose raw output is the probability of class 1."""
        self.booster_ = booster
        self.classes_ = np.array([0, 1])

    def predict_proba(self, features: Any) -> NDArray[np.float64]:
        """Return one probability for each class, in the order of `classes_`."""
        rows = np.asarray(features, dtype=np.float64)
        positive = np.asarray(self.booster_.predict(rows, num_threads=1), dtype=np.float64)
        return np.column_stack([1.0 - positive, positive])


def _read_xgboost(data: bytes) -> Any:
    import xgboost

    _require(data.startswith(b"{"), "is not an XGBoost UBJSON file")
    estimator = xgboost.XGBClassifier(n_jobs=1)
    estimator.load_model(bytearray(data))
    return estimator


def _read_lightgbm(data: bytes) -> Any:
    import lightgbm

    _require(data.startswith(b"tree\n"), "is not a LightGBM text file")
    return BoosterClassifier(lightgbm.Booster(model_str=data.decode()))


def _read_keras(data: bytes) -> Any:
    _require(zipfile.is_zipfile(io.BytesIO(data)), "is not a Keras archive")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _require("config.json" in archive.namelist(), "has no config.json")
        classes = set(_keras_classes(json.loads(archive.read("config.json"))))
    foreign = sorted(classes - TRUSTED_KERAS_CLASSES)
    _require(not foreign, f"contains Keras classes nobody vouches for: {', '.join(foreign)}")

    import keras

    from crypto_pool.domain.neural_net import SMALLEST_DEVIATION, NeuralNetClassifier

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "estimator.keras"
        path.write_bytes(data)
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    normalisation = network.layers[0]
    estimator = NeuralNetClassifier()
    estimator.mean_ = np.asarray(normalisation.mean)
    deviation = np.sqrt(np.asarray(normalisation.variance))
    estimator.deviation_ = np.maximum(deviation, SMALLEST_DEVIATION)
    estimator.layers_ = [np.asarray(variable.value) for variable in network.trainable_variables]
    estimator.classes_ = np.array([0, 1])
    return estimator


def _keras_classes(config: object) -> Iterator[str]:
    """Walk a Keras configuration and name every class it would build.

    A class from outside the package `keras` is named with its module, so that a
    namesake from elsewhere is not taken for a trusted one.
    """
    if isinstance(config, dict):
        if "class_name" in config:
            module = str(config.get("module") or "keras")
            own = module == "keras" or module.startswith("keras.")
            yield str(config["class_name"] if own else f"{module}.{config['class_name']}")
        for value in config.values():
            yield from _keras_classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _keras_classes(value)


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise UntrustedModel(f"The stored estimator {complaint}; train and log the model again.")


NATIVE_FORMATS: Mapping[str, NativeFormat] = {
    "xgboost": NativeFormat("XGBoost", "estimator.ubj", _read_xgboost),
    "lightgbm": NativeFormat("LightGBM", "estimator.txt", _read_lightgbm),
    "keras": NativeFormat("NeuralNet", "estimator.keras", _read_keras),
}
