import io
import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters import model_files
from crypto_pool.adapters.model_files import load_model, save_model
from crypto_pool.adapters.model_formats import FORMATS
from crypto_pool.domain.calibration import IdentityCalibration
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.errors import ModelUnavailable, UntrustedModel
from crypto_pool_tests.adapters.conftest import FEATURES

SaveModel = Callable[[str], tuple[Path, dict[str, str]]]


@pytest.fixture
def saved(tmp_path: Path, fitted: Callable[[str], Any]) -> SaveModel:
    def save(algorithm: str) -> tuple[Path, dict[str, str]]:
        folder = tmp_path / algorithm
        calibration = IdentityCalibration()
        hashes = save_model(fitted(algorithm), calibration, algorithm, FEATURES, folder)
        return folder, hashes

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
    form = CANDIDATES[algorithm].artifact_format
    assert set(hashes) == {f"estimator.{FORMATS[form].suffix}", "calibration.json"}
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
    ridge = FORMATS["skops"].write(fitted("RidgeClassifier"))
    (folder / "estimator.skops").write_bytes(ridge)

    with pytest.raises(UntrustedModel, match="TimeOrderedCalibratedClassifier"):
        load_model(folder, None)


@pytest.mark.parametrize("name", ["estimator.skops", "calibration.json"])
def test_a_swapped_file_is_refused_before_it_is_deserialised(
    name: str, saved: SaveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, hashes = saved("RandomForest")
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    monkeypatch.setattr(model_files, "FORMATS", FORMATS | {"skops": None})
    monkeypatch.setattr(model_files, "_estimator_file", lambda form: "estimator.skops")

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
        ({"format": "skops"}, "not stored as 'skops'"),
        ({"algorithm": "LightGBM", "format": "lightgbm"}, "not stored as 'lightgbm'"),
        ({"calibration": {"kind": "magic"}}, "magic"),
        ({"classes": [0, 1, 2]}, "incomplete"),
        ({"classes": None}, "malformed"),
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


def test_a_keras_lambda_is_refused(
    saved: SaveModel, fitted: Callable[[str], Any], tmp_path: Path
) -> None:
    import keras

    folder, _ = saved("NeuralNet")
    network = keras.Sequential([keras.Input((19,)), keras.layers.Lambda(lambda x: x[:, :1])])
    network.save(folder / "estimator.keras")

    with pytest.raises(UntrustedModel, match="Lambda"):
        load_model(folder, None)


@pytest.mark.parametrize("module", ["evil.layers", "kerastoo.layers"])
def test_a_namesake_of_a_keras_layer_is_refused(module: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Dense", "module": module}))

    with pytest.raises(UntrustedModel, match=rf"{module}\.Dense"):
        FORMATS["keras"].read(packed.getvalue(), (), (0.0, 1.0))


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="nowhere"):
        load_model(tmp_path / "nowhere", None)
