"""A stored model answers as it did when it was stored."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.naive_bayes import GaussianNB
from skops.io import _trusted_types

from crypto_pool.adapters.mlflow import skops_files
from crypto_pool.adapters.mlflow.artifact import hashes_of, load_model, model_files, signature_of
from crypto_pool.domain.calibrations import IdentityCalibration
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.served_model import BASELINES, ServedModel
from crypto_pool.errors import ModelUnavailable, UntrustedModel
from crypto_pool_tests.adapters.conftest import FEATURES, SaveModel


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


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_baseline_is_its_description_alone(tmp_path: Path, rows: pd.DataFrame, name: str) -> None:
    baseline = ServedModel.baseline(name, FEATURES)
    files = model_files(baseline)
    assert set(files) == {"calibration.json"}
    (tmp_path / "calibration.json").write_bytes(files["calibration.json"])
    loaded = load_model(tmp_path, hashes_of(files))
    assert loaded == baseline
    given = rows.assign(panel_logit=rows["reference_logit"] + 1)
    odds = given["panel_logit" if name == "Panel" else "reference_logit"]
    np.testing.assert_allclose(loaded.predict_probability(given), 1 / (1 + np.exp(-odds)))


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


def test_models_are_read_without_what_others_need(saved: SaveModel, rows: pd.DataFrame) -> None:
    """Neither a net's libraries, nor all of scikit-learn for the list of types skops trusts."""
    folders = [str(saved(algorithm)[0]) for algorithm in CANDIDATES]
    code = """
import json, sys
from pathlib import Path
from crypto_pool.adapters.mlflow.artifact import load_model
for folder in json.loads(sys.argv[1]):
    load_model(Path(folder), None)
sys.exit(", ".join({"keras", "jax", "sklearn.gaussian_process", "skops"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(folders)], capture_output=True, text=True
    )
    assert done.stderr.strip() == ""


def test_what_skops_trusts_beyond_the_pools_own_is_read_too() -> None:
    for name, types in skops_files.TRUSTED_BY_SKOPS.items():
        assert set(types) <= set(getattr(_trusted_types, name))
    naive = GaussianNB().fit([[0.0], [1.0]], [0, 1])
    read = skops_files.loads(skops.io.dumps(naive), ())
    np.testing.assert_array_equal(read.theta_, naive.theta_)


def test_mlflow_is_told_what_a_model_takes_and_gives() -> None:
    signature = signature_of(ServedModel.baseline("Panel", FEATURES[:2]))
    needed = {one.name: one.required for one in signature.inputs}
    assert needed == {
        "feature_0": True,
        "feature_1": True,
        "reference_logit": True,
        "panel_logit": False,
    }
    [served] = signature.outputs.inputs
    assert (served.shape, served.type) == ((-1,), np.dtype("float64"))


def test_an_extension_s_model_is_stored_with_types_it_declares_alone(
    fitted: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = replace(CANDIDATES["RandomForest"], name="Mine", code="0f")
    monkeypatch.setitem(CANDIDATES, "Mine", own)
    model = ServedModel("Mine", IdentityCalibration(), FEATURES, fitted("RandomForest"))
    assert "estimator.skops" in model_files(model)
    monkeypatch.setitem(CANDIDATES, "Mine", replace(own, trusted_types=()))
    with pytest.raises(UntrustedModel, match=r"LeanRandomForestClassifier, .*LeanTreeClassifier"):
        model_files(model)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="nowhere"):
        load_model(tmp_path / "nowhere", None)
