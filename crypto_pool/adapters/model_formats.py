"""How a fitted estimator becomes bytes and back, one entry for each format; none of them a pickle.

Readers get bytes whose hash the caller has checked already, so what was checked is what is read.
"""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crypto_pool.errors import UntrustedModel

FloatArray = NDArray[np.float64]

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
class ModelFormat:
    """A file suffix, a writer and a reader (bytes, trusted type names, classes)."""

    suffix: str
    write: Callable[[Any], bytes]
    read: Callable[[bytes, Sequence[str], Sequence[float]], Any]


class BoosterClassifier:
    """A stored LightGBM booster with the face of a classifier."""

    def __init__(self, booster: Any, classes: Sequence[float]) -> None:
        """Wrap a binary booster whose raw output is the probability of the last class."""
        self.booster_ = booster
        self.classes_ = np.asarray(classes).astype(int)

    def predict_proba(self, features: Any) -> FloatArray:
        """Give one probability for each class, in the order of `classes_`."""
        rows = np.asarray(features, dtype=np.float64)
        positive = np.asarray(self.booster_.predict(rows, num_threads=1), dtype=np.float64)
        return np.column_stack([1.0 - positive, positive])


def _write_skops(estimator: Any) -> bytes:
    import skops.io

    return bytes(skops.io.dumps(estimator))


def _read_skops(data: bytes, trusted_types: Sequence[str], classes: Sequence[float]) -> Any:
    import skops.io

    _require(zipfile.is_zipfile(io.BytesIO(data)), "is not a skops archive")
    foreign = sorted(set(skops.io.get_untrusted_types(data=data)) - set(trusted_types))
    _require(not foreign, f"contains types nobody vouches for: {', '.join(foreign)}")
    return skops.io.loads(data, trusted=list(trusted_types))


def _write_xgboost(estimator: Any) -> bytes:
    return bytes(estimator.get_booster().save_raw("ubj"))


def _read_xgboost(data: bytes, trusted_types: Sequence[str], classes: Sequence[float]) -> Any:
    import xgboost

    _require(data.startswith(b"{"), "is not an XGBoost UBJSON file")
    estimator = xgboost.XGBClassifier(n_jobs=1)
    estimator.load_model(bytearray(data))
    return estimator


def _write_lightgbm(estimator: Any) -> bytes:
    return str(estimator.booster_.model_to_string()).encode()


def _read_lightgbm(data: bytes, trusted_types: Sequence[str], classes: Sequence[float]) -> Any:
    import lightgbm

    _require(data.startswith(b"tree\n"), "is not a LightGBM text file")
    return BoosterClassifier(lightgbm.Booster(model_str=data.decode()), classes)


def _write_keras(estimator: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "estimator.keras"
        estimator.model_.save(path)
        return path.read_bytes()


def _read_keras(data: bytes, trusted_types: Sequence[str], classes: Sequence[float]) -> Any:
    _require(zipfile.is_zipfile(io.BytesIO(data)), "is not a Keras archive")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _require("config.json" in archive.namelist(), "has no config.json")
        found = set(_keras_classes(json.loads(archive.read("config.json"))))
    foreign = sorted(found - TRUSTED_KERAS_CLASSES)
    _require(not foreign, f"contains Keras classes nobody vouches for: {', '.join(foreign)}")

    import keras

    from crypto_pool.domain.neural_net import NeuralNetClassifier

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "estimator.keras"
        path.write_bytes(data)
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    estimator = NeuralNetClassifier()
    estimator.model_ = network
    estimator.classes_ = np.asarray(classes).astype(int)
    estimator.n_features_in_ = int(network.input_shape[-1])
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


FORMATS = {
    "skops": ModelFormat("skops", _write_skops, _read_skops),
    "xgboost": ModelFormat("ubj", _write_xgboost, _read_xgboost),
    "lightgbm": ModelFormat("txt", _write_lightgbm, _read_lightgbm),
    "keras": ModelFormat("keras", _write_keras, _read_keras),
}
