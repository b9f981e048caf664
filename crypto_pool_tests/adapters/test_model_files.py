import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import skops.io

from crypto_pool.adapters.mlflow import artifact
from crypto_pool.adapters.mlflow.artifact import hashes_of, load_model, model_files, try_in_child
from crypto_pool.adapters.mlflow.native_formats import NATIVE_FORMATS
from crypto_pool.adapters.mlflow.recording import write_files
from crypto_pool.domain.calibrations import IdentityCalibration
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.served_model import ServedModel
from crypto_pool.errors import ModelUnavailable, UntrustedModel
from crypto_pool_tests.adapters.conftest import FEATURES

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


@dataclass(frozen=True)
class Foreign:
    weight: float = 1.0


@pytest.mark.parametrize("algorithm", list(CANDIDATES))
def test_a_stored_model_gives_the_same_probabilities(
    algorithm: str, saved: SaveModel, fitted: Callable[[str], Any], rows: pd.DataFrame
) -> None:
    folder, hashes = saved(algorithm)

    loaded = load_model(folder, hashes)

    expected = fitted(algorithm).predict_proba(rows[list(FEATURES)])[:, 1]
    np.testing.assert_allclose(loaded.predict_probability(rows), expected, atol=1e-6)
    assert set(hashes) == {"estimator.skops", "calibration.json"}
    assert loaded.feature_names == FEATURES


def test_columns_are_taken_by_name_not_by_place(saved: SaveModel, rows: pd.DataFrame) -> None:
    loaded = load_model(*saved("LightGBM"))

    np.testing.assert_array_equal(
        loaded.predict_probability(rows[rows.columns[::-1]]), loaded.predict_probability(rows)
    )


def test_the_calibration_is_part_of_the_answer(saved: SaveModel, rows: pd.DataFrame) -> None:
    class Doubled:
        def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
            return 2 * probability + reference_logit

    loaded = load_model(*saved("LightGBM"))

    served = replace(loaded, calibration=Doubled()).predict_probability(rows)

    np.testing.assert_allclose(served, 2 * loaded.predict_raw(rows) + rows["reference_logit"])


def test_trusted_types_refuse_a_foreign_one(
    saved: SaveModel, fitted: Callable[[str], Any], tmp_path: Path
) -> None:
    forest = fitted("RandomForest")
    forest.guest = Foreign()
    try:
        folder, hashes = saved("RandomForest")
    finally:
        del forest.guest

    with pytest.raises(UntrustedModel, match=r"test_model_files\.Foreign"):
        load_model(folder, hashes)


def test_a_type_trusted_for_one_candidate_is_not_trusted_for_another(
    saved: SaveModel, fitted: Callable[[str], Any]
) -> None:
    folder, _ = saved("RandomForest")
    ridge = skops.io.dumps(fitted("RidgeClassifier"))
    (folder / "estimator.skops").write_bytes(ridge)

    with pytest.raises(UntrustedModel, match="TimeOrderedCalibratedClassifier"):
        load_model(folder, None)


@pytest.mark.parametrize("name", ["estimator.skops", "calibration.json"])
def test_a_swapped_file_is_refused_before_it_is_deserialised(
    name: str, saved: SaveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, hashes = saved("RandomForest")
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    monkeypatch.setattr(artifact, "_read_estimator", None)

    with pytest.raises(UntrustedModel, match=f"{name} is not what was logged"):
        load_model(folder, hashes)


def test_a_file_whose_hash_was_not_noted_is_refused(saved: SaveModel) -> None:
    folder, hashes = saved("XGBoost")
    del hashes["calibration.json"]

    with pytest.raises(UntrustedModel, match=r"calibration\.json is not what was logged"):
        load_model(folder, hashes)


@pytest.mark.parametrize("algorithm", ["RandomForest", "XGBoost", "LightGBM", "NeuralNet"])
def test_a_pickle_under_the_right_name_is_refused(algorithm: str, saved: SaveModel) -> None:
    folder, hashes = saved(algorithm)
    name = next(name for name in hashes if name != "calibration.json")
    (folder / name).write_bytes(pickle.dumps({"not": "run"}))

    with pytest.raises(UntrustedModel, match="estimator is not a"):
        load_model(folder, None)


def test_a_pickle_beside_the_model_is_refused(saved: SaveModel) -> None:
    folder, hashes = saved("XGBoost")
    (folder / "model.pkl").write_bytes(pickle.dumps(1))

    with pytest.raises(UntrustedModel, match=r"model\.pkl"):
        load_model(folder, hashes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"algorithm": "Oracle"}, "unknown algorithm 'Oracle'"),
        ({"format": "xgboost"}, "not stored as 'xgboost'"),
        ({"algorithm": "LightGBM", "format": "lightgbm"}, "not stored as 'lightgbm'"),
        ({"algorithm": "Panel"}, "Panel is not stored as 'skops'"),
        ({"format": "none"}, "not stored as 'none'"),
        ({"calibration": {"kind": "magic"}}, "magic"),
        ({"anchor": "moon_logit"}, "incomplete"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    changes: dict[str, Any], complaint: str, saved: SaveModel
) -> None:
    folder, _ = saved("XGBoost")
    path = folder / "calibration.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    with pytest.raises(UntrustedModel, match=complaint):
        load_model(folder, None)


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

    np.testing.assert_allclose(load_model(folder, None).predict_probability(rows), expected, 1e-5)
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


def test_a_keras_lambda_is_refused(saved: SaveModel, fitted: Callable[[str], Any]) -> None:
    import keras

    folder, _ = saved("NeuralNet")
    poisoned = as_keras(fitted("NeuralNet"), keras.layers.Lambda(lambda x: x[:, :1]))
    as_version_1_0_stored_it(folder, "keras", "estimator.keras", poisoned)

    with pytest.raises(UntrustedModel, match="Lambda"):
        load_model(folder, None)


def test_forecasting_with_a_net_needs_neither_keras_nor_jax(
    saved: SaveModel, rows: pd.DataFrame, tmp_path: Path
) -> None:
    folder, _ = saved("NeuralNet")
    rows.to_parquet(tmp_path / "rows.parquet")
    code = f"""
import sys
from pathlib import Path
import pandas as pd
from crypto_pool.adapters.mlflow.artifact import load_model
load_model(Path({str(folder)!r}), None).predict_probability(
    pd.read_parquet({str(tmp_path / "rows.parquet")!r})
)
sys.exit(", ".join({{"keras", "jax"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("module", ["evil.layers", "kerastoo.layers"])
def test_a_namesake_of_a_keras_layer_is_refused(module: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Dense", "module": module}))

    with pytest.raises(UntrustedModel, match=rf"{module}\.Dense"):
        NATIVE_FORMATS["keras"].read(packed.getvalue())


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="nowhere"):
        load_model(tmp_path / "nowhere", None)
