"""Models in the formats of version 1.0 are read in a child process, which bears what harms."""

import io
import json
import os
import pickle
import re
import resource
import signal
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from crypto_pool.adapters.mlflow import artifact
from crypto_pool.adapters.mlflow.artifact import load_model, try_in_child
from crypto_pool.adapters.mlflow.native_formats import NATIVE_FORMATS
from crypto_pool.errors import UntrustedModel
from crypto_pool_tests.adapters.conftest import FEATURES, SaveModel


def as_version_1_0_stored_it(folder: Path, form: str, name: str, data: bytes) -> None:
    path = folder / "calibration.json"
    description = json.loads(path.read_text()) | {"format": form, "classes": [0.0, 1.0]}
    del description["anchor"]
    path.write_text(json.dumps(description))
    (folder / "estimator.skops").unlink()
    (folder / name).write_bytes(data)


def as_keras(net: Any, last: Any = None) -> bytes:
    import keras

    normalisation = keras.layers.Normalization(
        mean=net.mean_.astype(float), variance=np.square(net.deviation_.astype(float))
    )
    layers = [keras.layers.Dense(64, activation="relu") for _ in range(2)]
    layers.append(keras.layers.Dense(1, activation="sigmoid"))
    network = keras.Sequential([keras.Input((19,)), normalisation, *layers])
    for layer, place in zip(layers, range(0, 6, 2), strict=True):
        layer.set_weights(net.layers_[place : place + 2])
    if last is not None:
        network.add(last)
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder) / "net.keras")
        return (Path(folder) / "net.keras").read_bytes()


@pytest.mark.parametrize(
    ("algorithm", "form", "file", "write"),
    [
        ("XGBoost", "xgboost", "estimator.ubj", lambda model: model.get_booster().save_raw("ubj")),
        (
            "LightGBM",
            "lightgbm",
            "estimator.txt",
            lambda model: model.booster_.model_to_string().encode(),
        ),
        ("NeuralNet", "keras", "estimator.keras", as_keras),
    ],
)
def test_models_in_the_formats_of_version_1_0_load(
    algorithm: str,
    form: str,
    file: str,
    write: Callable[[Any], bytes],
    saved: SaveModel,
    fitted: Callable[[str], Any],
    rows: pd.DataFrame,
) -> None:
    folder, _ = saved(algorithm)
    expected = load_model(folder, None).predict_probability(rows)
    as_version_1_0_stored_it(folder, form, file, bytes(write(fitted(algorithm))))

    loaded = load_model(folder, None)
    np.testing.assert_allclose(loaded.predict_probability(rows), expected, 1e-5)
    both = loaded.estimator.predict_proba(rows[list(FEATURES)])
    np.testing.assert_allclose(both.sum(axis=1), 1.0)
    assert list(loaded.estimator.classes_) == [0, 1]
    assert getattr(loaded.estimator, "n_jobs", 1) == 1  # work is parted between members
    (folder / file).write_bytes(pickle.dumps({"not": "run"}))
    with pytest.raises(UntrustedModel, match="estimator is not a"):
        load_model(folder, None)


def test_a_parser_that_aborts_or_hangs_takes_a_child_alone_with_it(
    saved: SaveModel, fitted: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """LightGBM ends its process on a text like this."""
    folder, _ = saved("LightGBM")
    try_in_child(folder)
    first = psutil.Process().children()
    try_in_child(folder)
    assert psutil.Process().children() == first, "the process of the first model takes the next"
    artifact._child(os.getpid()).kill()  # as the system does where memory runs out
    artifact._child(os.getpid()).wait()
    try_in_child(folder)
    text = fitted("LightGBM").booster_.model_to_string()
    tampered = re.sub(r"num_leaves=\d+", "num_leaves=-5", text, count=1)
    as_version_1_0_stored_it(folder, "lightgbm", "estimator.txt", tampered.encode())
    with pytest.raises(UntrustedModel, match=r"in a process of its own ended with -\d+"):
        try_in_child(folder)
    (folder / "estimator.txt").write_bytes(b"no trees")
    with pytest.raises(UntrustedModel, match=r"of its own failed: .* is not a LightGBM text"):
        try_in_child(folder)
    monkeypatch.setattr(artifact, "LOOK_AGAIN_SECONDS", 0)
    monkeypatch.setattr(artifact, "LOADING_SECONDS", 0)
    artifact._child(os.getpid()).send_signal(signal.SIGSTOP)  # or it may answer before the look
    with pytest.raises(UntrustedModel, match=r"was not done in 0 s of processor time"):
        try_in_child(folder)


def test_a_child_that_the_machine_lets_wait_is_waited_for_and_one_that_hangs_is_not(
    saved: SaveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is what the child works; a stopped one works as little as one without a core."""
    folder, _ = saved("RidgeClassifier")
    try_in_child(folder)
    child = artifact._child(os.getpid())
    monkeypatch.setattr(artifact, "LOOK_AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(artifact, "LOADING_SECONDS", 0.5)
    child.send_signal(signal.SIGSTOP)
    going_on = Timer(1.0, child.send_signal, [signal.SIGCONT])
    going_on.start()
    try_in_child(folder)
    going_on.join()
    child.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(artifact, "WAITING_SECONDS", 0.2)
    with pytest.raises(UntrustedModel, match=r"processor time, or 0\.2 s in all"):
        try_in_child(folder)


def test_a_process_with_more_files_than_select_can_watch_tries_a_model_too(
    saved: SaveModel,
) -> None:
    folder, _ = saved("RidgeClassifier")
    try_in_child(folder)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    try:
        with ExitStack() as held:
            while held.enter_context(open(os.devnull)).fileno() < 1024:
                continue
            artifact._child(os.getpid()).kill()  # so that the next one's pipes are numbered above
            artifact._child(os.getpid()).wait()
            try_in_child(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_keras_lambda_is_refused(saved: SaveModel, fitted: Callable[[str], Any]) -> None:
    import keras

    folder, _ = saved("NeuralNet")
    poisoned = as_keras(fitted("NeuralNet"), keras.layers.Lambda(lambda x: x[:, :1]))
    as_version_1_0_stored_it(folder, "keras", "estimator.keras", poisoned)

    with pytest.raises(UntrustedModel, match="Lambda"):
        load_model(folder, None)


@pytest.mark.parametrize("module", ["evil.layers", "kerastoo.layers"])
def test_a_namesake_of_a_keras_layer_is_refused(module: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Dense", "module": module}))

    with pytest.raises(UntrustedModel, match=rf"{module}\.Dense"):
        NATIVE_FORMATS["keras"].read(packed.getvalue())
