"""Versions of a member's model in MLflow: what they say of themselves, hold and give."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE

from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.store import OWN_TAG
from crypto_pool.adapters.mlflow.version import CORRECTED, read_version, version_in_words
from crypto_pool.domain.recipe import LEVELS, Recipe, Target, TargetKind
from crypto_pool.domain.served_model import ServedModel
from crypto_pool_tests.adapters.conftest import MEMBER, MakeFit, log

STORED = SimpleNamespace(version="1", run_id="r", source="here", creation_timestamp=0)
TAGS = {
    **dict.fromkeys(("classifier", "code_version", "data_hash"), "some"),
    **dict.fromkeys(("as_of", "chosen_through", "trained_through"), "2024-01-01"),
    **dict.fromkeys(CORRECTED, "null"),
    **{"target": "sma_shift", "target_pct": "0.05", "prediction_window_days": "1"},
    **{"decision_threshold": "1", "skill_interval": "[null, 0.2]"},
}


@pytest.mark.parametrize("kind", LEVELS)
def test_a_version_says_what_it_forecasts(
    registry: ModelRegistry, candidate_fit: MakeFit, kind: TargetKind
) -> None:
    fit = replace(candidate_fit(), recipe=Recipe(Target(kind, 0.08, 12)))
    version = registry.versions.register(MEMBER, log(registry, fit), {})
    words = registry.client.get_model_version(f"{MEMBER}_model", version).description
    assert f"for the uptrend of BTC, a move of {LEVELS[kind][1]} by 8 % in 12 days" in words


def test_a_version_says_what_it_promises_with_its_interval() -> None:
    figures = {
        "promised_precision": 0.61234,
        "promised_precision_low": 0.5,
        "promised_precision_high": 0.7,
        "promised_skill_over_reference": 0.01,
        "promised_skill_over_reference_low": None,
        "promised_skill_over_reference_high": 0.02,
    }
    words = version_in_words({"metrics": json.dumps(figures)}, Target())
    assert words.endswith(
        "trained through an unknown day. Promised: precision 0.612 (0.500 to 0.700), "
        "skill over the random-walk reference 0.010."
    )
    assert version_in_words({}, Target()).endswith("Promised: nothing.")


def test_mlflow_serves_what_was_logged(
    registry: ModelRegistry,
    candidate_fit: MakeFit,
    rows: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow

    fit = candidate_fit("RidgeClassifier")
    record = log(registry, fit)
    version = registry.versions.register(MEMBER, record, {"skill": 0.1})
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(registry.store.tracking_uri)
    try:
        served = mlflow.pyfunc.load_model(f"models:/{MEMBER}_model/{version}")
    finally:
        mlflow.set_tracking_uri(before)

    expected = fit.model.predict_probability(rows)
    np.testing.assert_allclose(served.predict(rows), expected, atol=1e-9)
    loaded = registry.versions.load(MEMBER, version)
    np.testing.assert_allclose(loaded.predict_probability(rows), expected, atol=1e-9)
    assert served.metadata.signature.inputs.input_names() == [
        *fit.model.feature_names,
        "reference_logit",
        "panel_logit",
    ]


def test_nothing_is_pickled(
    registry: ModelRegistry, candidate_fit: MakeFit, tmp_path: Path
) -> None:
    for algorithm in ("XGBoost", "LightGBM", "RandomForest", "NeuralNet"):
        log(registry, candidate_fit(algorithm))

    names = [path.name for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert names.count("estimator.skops") == 4
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]


def test_a_run_is_registered_once(registry: ModelRegistry, candidate_fit: MakeFit) -> None:
    first = log(registry, candidate_fit())
    second = log(registry, candidate_fit("LightGBM"))

    assert registry.versions.register(MEMBER, first, {"skill": 0.1, "note": "a"}) == "1"
    assert registry.versions.register(MEMBER, second, {}) == "2"
    assert registry.versions.register(MEMBER, first, {"skill": 0.2, "note": "a"}) == "1"
    assert {"skill": "0.2", "note": "a"}.items() <= registry.versions.get(MEMBER, "1").tags.items()


def test_a_baseline_is_a_version_without_an_estimator(
    registry: ModelRegistry, candidate_fit: MakeFit, rows: pd.DataFrame
) -> None:
    import mlflow

    names = tuple(rows.columns[:19])
    panel = candidate_fit(model=ServedModel.baseline("Panel", names))
    version = registry.versions.register(MEMBER, log(registry, panel), {})
    given = rows.assign(panel_logit=0.3)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(registry.store.tracking_uri)
    try:
        served = mlflow.pyfunc.load_model(f"models:/{MEMBER}_model/{version}").predict(given)
    finally:
        mlflow.set_tracking_uri(before)
    np.testing.assert_allclose(served, 1 / (1 + np.exp(-0.3)))
    loaded = registry.versions.load(MEMBER, version)
    np.testing.assert_allclose(loaded.predict_probability(given), served)


def test_what_version_1_0_made_without_saying_so_is_adopted(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    version = registry.versions.register(MEMBER, log(registry, candidate_fit()), {})
    name, client = f"{MEMBER}_model", registry.client
    client.delete_registered_model_tag(name, OWN_TAG)
    for experiment in registry.store.own_experiments():
        client.delete_experiment_tag(experiment.experiment_id, OWN_TAG)
    client.create_registered_model("other_model")
    registry.versions.set_aliases(MEMBER, {"champion": version})
    assert registry.versions.aliases() == {}
    registry.prepare()
    assert registry.versions.aliases() == {MEMBER: {"champion": version}}
    assert len(registry.store.own_experiments()) == 2


@pytest.mark.parametrize("code", [INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE])
def test_a_store_that_makes_no_model_is_no_store_that_has_it(
    registry: ModelRegistry, candidate_fit: MakeFit, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    record = log(registry, candidate_fit())

    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("no", code)

    monkeypatch.setattr(registry.client, "create_registered_model", refuse)
    with pytest.raises(MlflowException, match=r"^no$"):
        registry.versions.register(MEMBER, record, {})


def test_a_tag_of_a_version_is_set_whatever_it_was(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    version = registry.versions.register(MEMBER, log(registry, candidate_fit()), {"note": "m"})
    for note in ("z", "a", "a"):
        registry.versions.tag(MEMBER, version, {"note": note})
        assert registry.versions.get(MEMBER, version).tags["note"] == note


def test_of_a_version_whose_tags_can_be_read_nothing_is_at_fault() -> None:
    assert read_version(MEMBER, STORED, TAGS).fault == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("decision_threshold", '"0.5"'),
        ("decision_threshold", "1.01"),
        ("prediction_window_days", "0"),
        ("target_pct", "0"),
        ("skill_interval", "[1]"),
        ("target", "moon"),
        ("as_of", "2024-13-01"),
    ],
)
def test_a_tag_that_is_nothing_it_can_be_is_its_version_s_fault(name: str, text: str) -> None:
    fault = read_version(MEMBER, STORED, {**TAGS, name: text}).fault
    assert fault == f"of the tags of BTC_uptrend_model version 1 in MLflow {name} is {text!r}"
