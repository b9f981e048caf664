"""What lies in the place of a model is refused before it comes to life, whatever it is."""

import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import skops.io

from crypto_pool.adapters.mlflow import artifact
from crypto_pool.adapters.mlflow.artifact import load_model
from crypto_pool.errors import UntrustedModel
from crypto_pool_tests.adapters.conftest import SaveModel


@dataclass(frozen=True)
class Foreign:
    weight: float = 1.0


def test_trusted_types_refuse_a_foreign_one(
    saved: SaveModel, fitted: Callable[[str], Any], tmp_path: Path
) -> None:
    forest = fitted("RandomForest")
    forest.guest = Foreign()
    try:
        folder, hashes = saved("RandomForest")
    finally:
        del forest.guest

    with pytest.raises(UntrustedModel, match=r"test_untrusted_models\.Foreign"):
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


@pytest.mark.parametrize("beside", artifact.ESTIMATOR_FILES[1:])
def test_two_estimators_in_known_formats_are_one_too_many(saved: SaveModel, beside: str) -> None:
    folder, _ = saved("XGBoost")
    (folder / beside).write_bytes(b"{}")

    with pytest.raises(UntrustedModel, match=r"must hold calibration\.json and one estimator"):
        load_model(folder, None)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "calibration.json").unlink(), "estimator.skops."),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "nothing."),
        (
            lambda folder: (folder / "estimator.skops").rename(folder / "file"),
            "calibration.json, file.",
        ),
    ],
)
def test_a_folder_that_holds_no_model_is_told_by_what_it_holds(
    saved: SaveModel, spoil: Callable[[Path], object], told: str
) -> None:
    folder, hashes = saved("RidgeClassifier")
    spoil(folder)
    with pytest.raises(UntrustedModel, match=rf"but holds: {re.escape(told)}$"):
        load_model(folder, hashes)


def test_a_folder_in_the_place_of_an_estimator_is_told_as_unreadable(saved: SaveModel) -> None:
    folder, hashes = saved("RidgeClassifier")
    (folder / "estimator.skops").unlink()
    (folder / "estimator.skops").mkdir()
    told = r"but holds: calibration\.json, estimator\.skops \(unreadable\)\.$"
    with pytest.raises(UntrustedModel, match=told):
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


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is malformed (Expecting"),
        ("[]", "is malformed (list indices"),
        ('{"format": "skops"}', "is malformed ('algorithm')"),
        ('{"algorithm": "XGBoost", "format": "skops"}', "is incomplete"),
    ],
)
def test_a_description_that_is_none_is_refused(text: str, complaint: str, saved: SaveModel) -> None:
    folder, _ = saved("XGBoost")
    (folder / "calibration.json").write_text(text)
    with pytest.raises(UntrustedModel, match=f"calibration.json {re.escape(complaint)}"):
        load_model(folder, None)
