"""What a candidate's run holds, and what is said of one that a hand has spoilt."""

import json
import pickle
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import mlflow.artifacts
import pandas as pd
import pytest

from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.candidate_run import settings_tag
from crypto_pool.adapters.mlflow.store import local_path
from crypto_pool.domain.calibrations import PlattCalibration
from crypto_pool.domain.recipe import Recipe
from crypto_pool.errors import UntrustedModel
from crypto_pool_tests.adapters.conftest import FEATURES, MEMBER, MakeFit, log
from crypto_pool_tests.conftest import PATIENCE_SECONDS, ROOT


def test_a_candidate_run_says_all_that_was_promised(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    record = log(registry, candidate_fit(), "parent-1")

    run = registry.client.get_run(record.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "7"
    assert json.loads(run.data.params["class_weights"]) == {"0": 1.0, "1": 1.1}
    scores = {"overall_score": 0.7, "reference_overall_score": 0.6}
    assert run.data.metrics == {**scores, "fit/seconds": 0.0}
    assert run.data.params["estimator.n_jobs"] == "1"
    tags = run.data.tags
    assert json.loads(tags["undefined_metrics"]) == ["reference_roc_auc", "roc_auc"]
    assert set(json.loads(tags["model_sha256"])) == {"estimator.skops", "calibration.json"}
    assert json.loads(tags["settings"]) == Recipe().fit_settings()
    expected = {
        "crypto_pool.kind": "candidate",
        "mlflow.parentRunId": "parent-1",
        "mlflow.runName": "BTC_uptrend XGBoost",
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
    assert f"models:/{run.outputs.model_outputs[0].model_id}" == tags["model_uri"]
    assert record.model_hashes == json.loads(tags["model_sha256"])
    logged = registry.client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert logged.experiment_id == registry.store.experiment_id(MEMBER)
    assert logged.status == "READY"
    (rows,) = run.inputs.dataset_inputs
    assert (rows.dataset.name, rows.dataset.digest) == (MEMBER, "d1")
    assert json.loads(rows.dataset.source) == {"uri": "training_snapshots/d1"}


def test_a_run_of_a_checkout_names_its_commit(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    told = registry.client.get_run(log(registry, candidate_fit()).run_id).data.tags
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    is_checkout = (ROOT / ".git").exists()
    assert told.get("mlflow.source.git.commit") == (asked.stdout.strip() if is_checkout else None)


def test_what_is_logged_is_what_is_read_again(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    metrics, folds = {"slice_size": 4, "roc_auc": float("nan")}, {3: {"brier_score": 0.25}}
    made = vars(log(registry, candidate_fit(metrics=metrics, folds=folds)))
    read = vars(registry.runs.get(made["run_id"]))

    pd.testing.assert_frame_equal(made.pop("evaluation"), read.pop("evaluation"), check_freq=False)
    assert made == read
    assert made["model"] is None


def test_scores_by_fold_are_steps_of_a_metric_and_rows_of_a_table(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    folds = {3: {"brier_score": 0.25, "roc_auc": None}, 4: {"brier_score": 0.2, "roc_auc": 0.5}}
    run = registry.client.get_run(log(registry, candidate_fit(folds=folds)).run_id)
    steps = {
        name: [
            (one.step, one.value)
            for one in registry.client.get_metric_history(run.info.run_id, name)
        ]
        for name in ("fold/brier_score", "fold/roc_auc", "overall_score")
    }
    assert steps == {
        "fold/brier_score": [(3, 0.25), (4, 0.2)],
        "fold/roc_auc": [(4, 0.5)],
        "overall_score": [(0, 0.7)],
    }
    table = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/scores_by_fold.json"))
    assert table["columns"] == ["fold", "brier_score", "roc_auc"]
    assert table["data"] == [[3, 0.25, None], [4, 0.2, 0.5]]
    assert list(table) == ["columns", "data"]  # without the numbers of rows


def test_a_run_begins_when_its_fit_did_and_measures_when_it_is_written(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    before = int(time.time() * 1000)
    made = registry.runs.log(candidate_fit(), "key", "dagster-1", fit_seconds=100.0)
    after = time.time() * 1000
    run = registry.client.get_run(made.run_id)
    assert before - 100_000 <= run.info.start_time <= after - 100_000
    assert run.data.metrics["fit/seconds"] == 100.0
    [written] = registry.client.get_metric_history(made.run_id, "overall_score")
    assert before <= written.timestamp <= after


def test_the_calibration_is_told_beside_the_metrics_and_is_none_of_them(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    fit = candidate_fit()
    platt = PlattCalibration(2.0, 0.5)
    record = log(registry, replace(fit, model=replace(fit.model, calibration=platt)))
    told = registry.client.get_run(record.run_id).data.metrics
    assert {"calibration/slope": 2.0, "calibration/intercept": 0.5}.items() <= told.items()
    assert registry.runs.get(record.run_id).metrics.keys() == fit.metrics.keys()


def test_what_an_estimator_was_built_with_is_told_by_the_names_of_its_parts(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    """Of a pipeline's too; what is not set, or no number, says nothing."""
    told = log(registry, candidate_fit()).hyper_parameters
    assert told["n_jobs"] == "1"
    assert not {"missing", "max_bin", "callbacks"} & told.keys()
    of_a_pipeline = log(registry, candidate_fit("KNeighbors")).hyper_parameters
    assert {"n_neighbors", "with_mean"} <= of_a_pipeline.keys()


def test_mlflow_gives_the_example_that_a_model_was_logged_with(
    registry: ModelRegistry, candidate_fit: MakeFit, rows: pd.DataFrame
) -> None:
    from mlflow.models import Model

    made = registry.runs.log(candidate_fit(), "key", "dagster-1", example=rows.head(2))
    place = local_path(registry.runs.model_location(registry.client.get_run(made.run_id).data.tags))
    described = Model.load(str(place))
    pd.testing.assert_frame_equal(described.load_input_example(str(place)), rows.head(2))
    held = [path for path in (place / "artifacts").iterdir()]
    assert described.model_size_bytes == sum(path.stat().st_size for path in held)
    [output] = registry.client.get_run(made.run_id).outputs.model_outputs
    assert output.step == 0


def test_a_model_that_could_not_be_written_is_marked_as_failed(
    registry: ModelRegistry, candidate_fit: MakeFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("crypto_pool.adapters.mlflow.recording.put_files", fail)
    with pytest.raises(OSError, match="disk full"):
        log(registry, candidate_fit())
    experiment = registry.store.experiment_id(MEMBER)
    assert [one.status for one in registry.client.search_logged_models([experiment])] == ["FAILED"]


def test_long_hashes_of_data_are_named_as_far_as_mlflow_stores_them(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    record = log(registry, candidate_fit(data_hash="0123456789abcdef" * 4))
    [rows] = registry.client.get_run(record.run_id).inputs.dataset_inputs
    assert rows.dataset.digest == "0123456789abcdef0123456789abcdef0123"
    assert rows.dataset.source.count("0123456789abcdef") == 4
    columns = json.loads(rows.dataset.schema)["mlflow_colspec"]
    assert {one["name"]: one["required"] for one in columns} == dict.fromkeys(FEATURES, True)


def test_the_tag_of_settings_is_the_same_whatever_their_order() -> None:
    """Runs are found by it."""
    assert list(json.loads(settings_tag(Recipe()))) == sorted(Recipe().fit_settings())


@pytest.mark.parametrize("synthetic", [True, False])
def test_made_up_bars_are_told_from_real_ones(
    registry: ModelRegistry, candidate_fit: MakeFit, synthetic: bool
) -> None:
    record = log(registry, candidate_fit(synthetic=synthetic))
    assert registry.runs.get(record.run_id).synthetic is synthetic


def evaluation_of(registry: ModelRegistry, run_id: str) -> Path:
    address = registry.client.get_run(run_id).info.artifact_uri
    return local_path(address) / "evaluation.parquet"


def test_the_reference_was_the_baseline_of_version_1_0(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    run = log(registry, candidate_fit()).run_id
    path = evaluation_of(registry, run)
    stored = pd.read_parquet(path)
    assert set(registry.runs.get(run).evaluation["baseline_probability"]) == {0.4}
    stored.rename(columns={"baseline_probability": "reference_probability"}).to_parquet(path)
    read = registry.runs.get(run).evaluation
    assert read["baseline_probability"].tolist() == read["reference_probability"].tolist()


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("member", None),
        ("settings", "{half"),
        ("settings", "7"),
        ("as_of", "someday"),
        ("decision_threshold", "high"),
        ("model_sha256", None),
    ],
)
def test_a_run_whose_tags_a_hand_has_spoilt_is_named_as_such(
    registry: ModelRegistry, candidate_fit: MakeFit, tag: str, text: str | None
) -> None:
    run = log(registry, candidate_fit()).run_id
    if text is None:
        registry.client.delete_tag(run, tag)
    else:
        registry.client.set_tag(run, tag, text)
    with pytest.raises(UntrustedModel, match=f"run {run} is not as it was logged: a tag"):
        registry.runs.get(run)


def test_a_damaged_evaluation_is_named_with_its_run(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    run = log(registry, candidate_fit()).run_id
    path = evaluation_of(registry, run)
    whole = path.read_bytes()
    for damaged in (b"", b"PAR1 garbage PAR1", whole[:-20], whole[:4] + bytes(60) + whole[64:]):
        path.write_bytes(damaged)
        with pytest.raises(UntrustedModel, match=r"evaluation\.parquet is gone or damaged"):
            registry.runs.get(run)


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

    def log_own(_: int) -> str:
        own = pickle.loads(pickle.dumps(registry))  # noqa: S301 - our own bytes
        own.store._client = MeetingClient(own.client, meeting)
        return str(log(own, fit).run_id)

    registry.store.experiment_id(MEMBER)
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(log_own, range(4)))

    found = [registry.client.get_run(run).inputs.dataset_inputs for run in runs]
    assert len({inputs[0].dataset.digest for inputs in found}) == 1
    assert [len(inputs) for inputs in found] == [1] * 4
