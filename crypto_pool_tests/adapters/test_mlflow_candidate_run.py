"""What a candidate's run holds beyond its model, and what a hand that spoilt it is told."""

import json
import time
from dataclasses import replace
from pathlib import Path

import mlflow.artifacts
import pandas as pd
import pytest

from crypto_pool.adapters.mlflow import ModelRegistry, recording
from crypto_pool.adapters.mlflow.candidate_run import settings_tag
from crypto_pool.adapters.mlflow.store import local_path
from crypto_pool.domain.calibrations import PlattCalibration
from crypto_pool.domain.recipe import Recipe
from crypto_pool.errors import ModelUnavailable, UntrustedModel
from crypto_pool_tests.adapters.conftest import MEMBER, MakeFit, log


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
        for name in ("fold_brier_score", "fold_roc_auc", "overall_score")
    }
    assert steps == {
        "fold_brier_score": [(3, 0.25), (4, 0.2)],
        "fold_roc_auc": [(4, 0.5)],
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

    monkeypatch.setattr(recording, "put_files", fail)
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
