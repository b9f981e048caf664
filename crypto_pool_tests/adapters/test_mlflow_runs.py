"""Candidates as runs of MLflow: found again whole, never half, and never two of one."""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crypto_pool.adapters.mlflow import ModelRegistry, artifact
from crypto_pool.adapters.mlflow import store as store_module
from crypto_pool.adapters.mlflow.store import TRAINING_EXPERIMENT
from crypto_pool.domain.recipe import Recipe
from crypto_pool.errors import ModelUnavailable
from crypto_pool_tests.adapters.conftest import MEMBER, MakeFit, log


def statuses(registry: ModelRegistry, experiment: str = MEMBER) -> list[str]:
    runs = registry.client.search_runs([registry.store.experiment_id(experiment)])
    return sorted(run.info.status for run in runs)


def test_finished_runs_are_the_latest_of_each_algorithm_on_the_same_data(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    log(registry, candidate_fit())
    latest = log(registry, candidate_fit())
    log(registry, candidate_fit(data_hash="d2"))
    other = log(registry, candidate_fit("LightGBM"))

    found = registry.runs.latest(MEMBER, "d1", Recipe(), "c1")

    expected = {"XGBoost": latest.run_id, "LightGBM": other.run_id}
    assert {name: one.run_id for name, one in found.items()} == expected
    assert found["XGBoost"].metrics["roc_auc"] is None
    assert registry.runs.latest("ETH_uptrend", "d1", Recipe(), "c1") == {}
    assert registry.runs.latest(MEMBER, "d1", Recipe(seed=8), "c1") == {}
    assert registry.runs.latest(MEMBER, "d1", Recipe(), "c2") == {}


@pytest.mark.parametrize("tag", ["algorithm", "model_uri"])
def test_a_run_that_a_hand_took_a_tag_from_is_none_of_the_finished(
    registry: ModelRegistry, candidate_fit: MakeFit, tag: str
) -> None:
    kept = log(registry, candidate_fit())
    registry.client.delete_tag(log(registry, candidate_fit()).run_id, tag)
    found = registry.runs.latest(MEMBER, "d1", Recipe(), "c1")
    assert [one.run_id for one in found.values()] == [kept.run_id]


def test_a_training_key_finds_its_run_and_no_unfinished_one(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    record = log(registry, candidate_fit())
    registry.runs.end(log(registry, candidate_fit("LightGBM")).run_id, "FAILED")

    assert registry.runs.find(MEMBER, "k-XGBoost").run_id == record.run_id
    assert registry.runs.find(MEMBER, "k-LightGBM") is None


@pytest.mark.parametrize(
    ("fault", "status"), [(KeyboardInterrupt(), "KILLED"), (OSError("disk full"), "FAILED")]
)
def test_an_interrupted_candidate_leaves_no_running_run(
    fault: BaseException,
    status: str,
    registry: ModelRegistry,
    candidate_fit: MakeFit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(artifact, "model_files", fail)

    with pytest.raises(type(fault)):
        log(registry, candidate_fit())

    assert statuses(registry) == [status]


def test_orphans_are_closed_and_the_living_are_not(registry: ModelRegistry) -> None:
    member, training = (
        registry.store.experiment_id(MEMBER),
        registry.store.experiment_id(TRAINING_EXPERIMENT),
    )
    for tag, experiment in (("dagster.run_id", member), ("dagster_run_id", training)):
        for owner in ("dead", "alive"):
            registry.client.create_run(experiment, tags={tag: owner})
    foreign = registry.client.create_experiment("somebody else's")
    others = registry.client.create_run(foreign, start_time=1).info.run_id
    registry.client.create_run(training)  # it may be tagged with its owner in a moment
    long_ago = int((time.time() - 61) * 1000)
    nobodys = registry.client.create_run(training, start_time=long_ago).info.run_id
    beside = registry.client.create_run(member, long_ago, {"algorithm": "XGBoost"}).info.run_id

    assert registry.upkeep.close_orphans(lambda run_id: run_id == "alive") == 3

    assert registry.client.get_run(nobodys).info.status == "KILLED"
    assert registry.client.get_run(others).info.status == "RUNNING"
    assert registry.client.get_run(beside).info.status == "RUNNING"
    assert statuses(registry) == ["KILLED", "RUNNING", "RUNNING"]
    assert statuses(registry, TRAINING_EXPERIMENT) == ["KILLED", "KILLED", "RUNNING", "RUNNING"]
    assert registry.upkeep.close_orphans(lambda run_id: run_id == "alive") == 0


def test_feature_importance_is_put_on_the_run(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    record = log(registry, candidate_fit())

    registry.runs.describe(record.run_id, {"feature_0": 0.5}, {})

    tags: dict[str, Any] = registry.client.get_run(record.run_id).data.tags
    assert json.loads(tags["feature_importance"]) == {"feature_0": 0.5}


def test_a_file_of_a_run_is_read_back_or_said_to_be_missing(
    registry: ModelRegistry, candidate_fit: MakeFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = log(registry, candidate_fit()).run_id
    registry.runs.describe(run, {}, {"picture.png": b"drawn"})

    assert registry.runs.load_file(run, "picture.png") == b"drawn"
    with pytest.raises(ModelUnavailable, match=f"other.png of run {run} is not at .*other.png"):
        registry.runs.load_file(run, "other.png")

    monkeypatch.setattr(store_module, "local_path", lambda uri: None)  # as in an object store
    assert registry.runs.load_file(run, "picture.png") == b"drawn"
    with pytest.raises(ModelUnavailable, match=f"other.png of run {run}: cannot fetch"):
        registry.runs.load_file(run, "other.png")


def test_what_a_run_that_is_gone_held_is_unavailable(registry: ModelRegistry) -> None:
    """As `mlflow gc` leaves it: the picture beside a champion is no failure of its training."""
    gone = "0" * 32
    for asked in (
        registry.runs.get,
        registry.runs.load_model,
        partial(registry.runs.load_file, name="judgement.png"),
    ):
        with pytest.raises(ModelUnavailable, match=f"run {gone} cannot be found"):
            asked(gone)


def test_a_run_whose_files_are_gone_or_changed_is_not_reused(
    registry: ModelRegistry, candidate_fit: MakeFit, tmp_path: Path
) -> None:
    for damage in ("estimator.skops", "evaluation.parquet"):
        run = log(registry, candidate_fit())
        assert registry.runs.find(MEMBER, "k-XGBoost").run_id == run.run_id
        newest = max((tmp_path / "artifacts").rglob(damage), key=lambda path: path.stat().st_mtime)
        newest.write_bytes(b"cut off")
        found = registry.runs.find(MEMBER, "k-XGBoost")
        assert found is None or found.run_id != run.run_id


@pytest.mark.parametrize("spoilt", ["hashes gone", "hashes no JSON", "model deleted", "uri gone"])
def test_a_run_that_does_not_lead_to_its_model_is_named_and_not_reused(
    registry: ModelRegistry, candidate_fit: MakeFit, spoilt: str
) -> None:
    run, client = log(registry, candidate_fit()).run_id, registry.client
    if spoilt == "hashes gone":
        client.delete_tag(run, "model_sha256")
    elif spoilt == "hashes no JSON":
        client.set_tag(run, "model_sha256", "{half")
    elif spoilt == "uri gone":
        client.delete_tag(run, "model_uri")
    else:
        uri = client.get_run(run).data.tags["model_uri"]
        client.delete_logged_model(uri.removeprefix("models:/"))
    with pytest.raises(ModelUnavailable, match=f"the model of run {run}: a tag of its run, or the"):
        registry.runs.load_model(run)
    assert registry.runs.find(MEMBER, "k-XGBoost") is None
