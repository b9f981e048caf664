import json
import pickle
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters import candidate_log, model_registry
from crypto_pool.adapters.model_records import CandidateFit
from crypto_pool.adapters.model_registry import TRAINING_EXPERIMENT, ModelRegistry
from crypto_pool.errors import ModelUnavailable
from crypto_pool_tests.conftest import PATIENCE_SECONDS

MEMBER = "BTC_uptrend"
MakeFit = Callable[..., CandidateFit]


def statuses(registry: ModelRegistry, experiment: str = MEMBER) -> list[str]:
    runs = registry.client.search_runs([registry.experiment_id(experiment)])
    return sorted(run.info.status for run in runs)


def test_a_candidate_run_says_all_that_was_promised(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    record = registry.log_candidate(candidate_fit(parent_run_id="parent-1"))

    run = registry.client.get_run(record.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "7", "class_weight": "{0: 1.0, 1: 1.1}"}
    assert run.data.metrics == {"overall_score": 0.7, "reference_overall_score": 0.6}
    tags = run.data.tags
    assert json.loads(tags["undefined_metrics"]) == ["reference_roc_auc", "roc_auc"]
    assert set(json.loads(tags["model_sha256"])) == {"estimator.ubj", "calibration.json"}
    assert json.loads(tags["settings"]) == {"horizon": 10}
    expected = {
        "mlflow.parentRunId": "parent-1",
        "mlflow.runName": "XGBoost",
        "dagster.run_id": "dagster-1",
        "member": MEMBER,
        "symbol": "BTC",
        "trend": "uptrend",
        "algorithm": "XGBoost",
        "data_hash": "d1",
        "code_version": "c1",
        "training_key": "k-XGBoost",
        "synthetic": "true",
    }
    assert expected.items() <= tags.items()
    assert "dagster_run_id" not in tags
    assert run.outputs.model_outputs[0].model_id == record.model_uri.removeprefix("models:/")
    logged = registry.client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert logged.experiment_id == registry.experiment_id(MEMBER)
    assert logged.status == "READY"
    (rows,) = run.inputs.dataset_inputs
    assert (rows.dataset.name, rows.dataset.digest) == (MEMBER, "d1")
    assert json.loads(rows.dataset.source) == {"uri": "training_snapshots/d1"}


def test_mlflow_serves_what_was_logged(
    registry: ModelRegistry,
    candidate_fit: MakeFit,
    rows: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow

    fit = candidate_fit("RidgeClassifier")
    record = registry.log_candidate(fit)
    version = registry.register(MEMBER, record, {"skill": 0.1})
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(registry.tracking_uri)
    try:
        served = mlflow.pyfunc.load_model(f"models:/{MEMBER}_model/{version}")
    finally:
        mlflow.set_tracking_uri(before)

    expected = fit.estimator.predict_proba(rows[list(fit.feature_names)])[:, 1]
    np.testing.assert_allclose(served.predict(rows), expected, atol=1e-9)
    loaded = registry.load(MEMBER, version)
    np.testing.assert_allclose(loaded.predict_probability(rows), expected, atol=1e-9)
    assert served.metadata.signature.inputs.input_names() == [
        *fit.feature_names,
        "reference_logit",
    ]


def test_nothing_is_pickled(
    registry: ModelRegistry, candidate_fit: MakeFit, tmp_path: Path
) -> None:
    for algorithm in ("XGBoost", "LightGBM", "RandomForest", "NeuralNet"):
        registry.log_candidate(candidate_fit(algorithm))

    names = [path.name for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert {"estimator.ubj", "estimator.txt", "estimator.skops", "estimator.keras"} <= set(names)
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]


def test_importing_the_registry_imports_nothing_heavy() -> None:
    code = (
        "import sys, crypto_pool.adapters.model_registry;"
        "sys.exit(', '.join({'mlflow', 'sklearn', 'pandas', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_finished_runs_are_the_latest_of_each_algorithm_on_the_same_data(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    registry.log_candidate(candidate_fit())
    latest = registry.log_candidate(candidate_fit())
    registry.log_candidate(candidate_fit(data_hash="d2"))
    other = registry.log_candidate(candidate_fit("LightGBM"))

    found = registry.finished_runs(MEMBER, "d1")

    assert found == {"XGBoost": latest, "LightGBM": other}
    assert found["XGBoost"].metrics["roc_auc"] is None
    assert registry.finished_runs("ETH_uptrend", "d1") == {}


def test_a_training_key_finds_its_run_and_no_unfinished_one(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    record = registry.log_candidate(candidate_fit())
    registry.end_run(registry.log_candidate(candidate_fit("LightGBM")).run_id, "FAILED")

    assert registry.find_reusable(MEMBER, "k-XGBoost") == record
    assert registry.find_reusable(MEMBER, "k-LightGBM") is None


def test_a_run_is_registered_once(registry: ModelRegistry, candidate_fit: MakeFit) -> None:
    first = registry.log_candidate(candidate_fit())
    second = registry.log_candidate(candidate_fit("LightGBM"))

    assert registry.register(MEMBER, first, {"skill": 0.1, "note": "a"}) == "1"
    assert registry.register(MEMBER, second, {}) == "2"
    assert registry.register(MEMBER, first, {"skill": 0.2, "note": "a"}) == "1"
    assert registry.version(MEMBER, "1").tags == {"skill": "0.2", "note": "a"}


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

    monkeypatch.setattr(candidate_log, "save_model", fail)

    with pytest.raises(type(fault)):
        registry.log_candidate(candidate_fit())

    assert statuses(registry) == [status]


def test_mlflows_page_shows_experiments_of_models_and_does_not_ask(registry: ModelRegistry) -> None:
    for name in (MEMBER, TRAINING_EXPERIMENT):
        experiment = registry.client.get_experiment(registry.experiment_id(name))
        assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_orphans_are_closed_and_the_living_are_not(registry: ModelRegistry) -> None:
    member, training = registry.experiment_id(MEMBER), registry.experiment_id(TRAINING_EXPERIMENT)
    for tag, experiment in (("dagster.run_id", member), ("dagster_run_id", training)):
        for owner in ("dead", "alive"):
            registry.client.create_run(experiment, tags={tag: owner})
    registry.client.create_run(member)  # it may be tagged with its owner in a moment
    long_ago = int((time.time() - 61) * 1000)
    nobodys = registry.client.create_run(member, start_time=long_ago).info.run_id

    assert registry.close_orphans(lambda run_id: run_id == "alive") == 3

    assert registry.client.get_run(nobodys).info.status == "KILLED"
    assert statuses(registry) == ["KILLED", "KILLED", "RUNNING", "RUNNING"]
    assert statuses(registry, TRAINING_EXPERIMENT) == ["KILLED", "RUNNING"]
    assert registry.close_orphans(lambda run_id: run_id == "alive") == 0


def test_workers_get_the_registry_and_not_its_client(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    record = registry.log_candidate(candidate_fit())

    copy = pickle.loads(pickle.dumps(registry))  # noqa: S301 - our own bytes

    assert copy.__dict__["_client"] is None
    assert copy.find_reusable(MEMBER, "k-XGBoost") == record


class MeetingClient:
    """A client that waits for its sisters before it first names a run's rows."""

    def __init__(self, client: Any, meeting: Barrier) -> None:
        self._client, self._meeting, self._has_met = client, meeting, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def log_inputs(self, *arguments: Any) -> None:
        if not self._has_met:
            self._has_met = True
            self._meeting.wait(timeout=PATIENCE_SECONDS)
        self._client.log_inputs(*arguments)


def test_runs_that_name_the_same_rows_at_once_all_end_well(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    meeting = Barrier(4)
    fit = candidate_fit()

    def log(_: int) -> str:
        own = pickle.loads(pickle.dumps(registry))  # noqa: S301 - our own bytes
        own._client = MeetingClient(own.client, meeting)
        return str(own.log_candidate(fit).run_id)

    registry.experiment_id(MEMBER)
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(log, range(4)))

    found = [registry.client.get_run(run).inputs.dataset_inputs for run in runs]
    assert len({inputs[0].dataset.digest for inputs in found}) == 1
    assert [len(inputs) for inputs in found] == [1] * 4


def test_feature_importance_is_put_on_the_run(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    record = registry.log_candidate(candidate_fit())

    registry.set_feature_importance(record.run_id, {"feature_0": 0.5})

    tags: dict[str, Any] = registry.client.get_run(record.run_id).data.tags
    assert json.loads(tags["feature_importance"]) == {"feature_0": 0.5}


def test_a_file_of_a_run_is_read_back_or_said_to_be_missing(
    registry: ModelRegistry, candidate_fit: MakeFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = registry.log_candidate(candidate_fit()).run_id
    registry.log_files(run, {"picture.png": b"drawn"})

    assert registry.load_file(run, "picture.png") == b"drawn"
    with pytest.raises(ModelUnavailable, match=f"other.png of run {run} is not at .*other.png"):
        registry.load_file(run, "other.png")

    monkeypatch.setattr(model_registry, "local_path", lambda uri: None)  # as in an object store
    assert registry.load_file(run, "picture.png") == b"drawn"
    with pytest.raises(ModelUnavailable, match=f"other.png of run {run}: cannot fetch"):
        registry.load_file(run, "other.png")


def test_a_store_without_what_mlflow_keeps_in_it_is_named(registry: ModelRegistry) -> None:
    with closing(sqlite3.connect(registry.tracking_uri.removeprefix("sqlite:///"))) as store:
        store.execute("ALTER TABLE experiments RENAME TO lost")
    again = ModelRegistry(registry.tracking_uri, registry.artifact_root)
    with pytest.raises(ModelUnavailable, match=r"(?s)mlflow\.db does not answer.*restore a backup"):
        again.prepare()
