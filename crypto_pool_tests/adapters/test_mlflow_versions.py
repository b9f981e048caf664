"""Versions of a member's model in MLflow: what they forecast, hold and give."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE

from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.store import OWN_TAG
from crypto_pool.domain.recipe import LEVELS, Recipe, Target, TargetKind
from crypto_pool.domain.served_model import ServedModel
from crypto_pool.errors import ModelUnavailable
from crypto_pool_tests.adapters.conftest import MEMBER, MakeFit, log


@pytest.mark.parametrize("kind", LEVELS)
def test_a_version_says_what_it_forecasts(
    registry: ModelRegistry, candidate_fit: MakeFit, kind: TargetKind
) -> None:
    fit = replace(candidate_fit(), recipe=Recipe(Target(kind, 0.08, 12)))
    version = registry.versions.register(MEMBER, log(registry, fit), {})
    words = registry.client.get_model_version(f"{MEMBER}_model", version).description
    assert f"for the uptrend of BTC, a move by 8 % in 12 days of {LEVELS[kind][1]}" in words


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
    own = {"time_period": "9"}  # told by the version itself
    version = registry.versions.register(MEMBER, log(registry, candidate_fit()), own)
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
    tags = registry.versions.get(MEMBER, version).tags
    assert (tags["time_period"], tags["series_type"]) == ("9", "close")


def test_terms_that_no_run_tells_any_more_stop_no_other_s(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    lost, gone, kept = (log(registry, candidate_fit()) for _ in range(3))
    for record in (lost, gone, kept):
        registry.versions.register(MEMBER, record, {})
    registry.client.set_tag(lost.run_id, "settings", "{half")
    registry.client.delete_tag(gone.run_id, "settings")
    registry.client.create_model_version(f"{MEMBER}_model", "file:///nowhere", run_id="0" * 32)
    registry.store._complete_terms(f"{MEMBER}_model")
    told = [registry.versions.get(MEMBER, one).tags.get("time_period") for one in "1234"]
    assert told == [None, None, "7", None]


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


def test_a_version_links_to_the_page_of_its_member(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    record = log(registry, candidate_fit())
    linked = ModelRegistry(
        registry.store.tracking_uri, registry.store.artifact_root, "http://pool:8000"
    )
    version = linked.versions.register(MEMBER, record, {})
    model, one = (
        registry.client.get_registered_model(f"{MEMBER}_model"),
        registry.client.get_model_version(f"{MEMBER}_model", version),
    )
    for described in (model.description, one.description):
        assert described.endswith("[Its page](http://pool:8000/members/BTC_uptrend.html).")
    assert model.description.startswith("Whether the uptrend of BTC comes, as a probability.")


def test_of_several_versions_of_a_run_the_latest_is_its_own(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    record = log(registry, candidate_fit())
    assert registry.versions.of_run(MEMBER, record.run_id) is None
    registry.versions.register(MEMBER, record, {})
    first = registry.versions.get(MEMBER, "1")
    for _ in range(9):
        registry.client.create_model_version(
            f"{MEMBER}_model", first.location, run_id=record.run_id
        )
    assert registry.versions.of_run(MEMBER, record.run_id).version == "10"
    with pytest.raises(ModelUnavailable, match=r"has no version 11: there are 1, 2, .*, 9, 10\."):
        registry.versions.get(MEMBER, "11")


def test_a_version_without_hashes_is_loaded_by_those_of_its_run(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    record = log(registry, candidate_fit())
    version = registry.versions.register(MEMBER, record, {})
    registry.client.delete_model_version_tag(f"{MEMBER}_model", version, "model_sha256")
    assert registry.versions.load(MEMBER, version).algorithm == "XGBoost"
    registry.client.set_tag(record.run_id, "model_sha256", "{half")
    gone = "version 1: what its files were is not known"
    with pytest.raises(ModelUnavailable, match=gone):
        registry.versions.load(MEMBER, version)
    registry.client.delete_tag(record.run_id, "model_sha256")
    with pytest.raises(ModelUnavailable, match=gone):
        registry.versions.load(MEMBER, version)


def test_a_version_is_on_the_disk_with_its_run_its_files_and_its_names(
    registry: ModelRegistry,
    candidate_fit: MakeFit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = registry.versions.register(MEMBER, log(registry, candidate_fit()), {})
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append(os.readlink(f"/proc/self/fd/{file}"))
    )
    registry.versions.reach_disk(registry.versions.get(MEMBER, version))
    files = {str(path) for path in (tmp_path / "artifacts").rglob("*") if path.is_file()}
    assert len(files) > 5
    assert {*files, str(tmp_path / "artifacts"), str(tmp_path)} <= set(synced)


def test_a_tag_of_a_version_is_set_whatever_it_was(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    version = registry.versions.register(MEMBER, log(registry, candidate_fit()), {"note": "m"})
    for note in ("z", "a", "a"):
        registry.versions.tag(MEMBER, version, {"note": note})
        assert registry.versions.get(MEMBER, version).tags["note"] == note
