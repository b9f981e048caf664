"""A member's training: what its runs hold, and which candidates are used again."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.domain.features import build_features
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import Recipe, Target
from crypto_pool.domain.reference import logit
from crypto_pool.domain.tables import CANDIDATE_SCORES
from crypto_pool.domain.training import TrainingTable, prediction_input, training_table
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.isolation import Failure
from crypto_pool.workflow.training import (
    TrainingTask,
    Unscored,
    keep_scores,
    score_row,
    stored_candidates,
    train_candidate,
    train_candidates,
    training_key,
)

AS_OF = date(2021, 12, 31)
RECIPE = Recipe(Target("forward_return"))


@pytest.fixture(scope="module")
def table() -> TrainingTable:
    bars = SyntheticMarket().bars("BTC", AS_OF)
    return training_table(
        bars,
        build_features(compute_indicators(bars)),
        "uptrend",
        pd.Timestamp(AS_OF),
        RECIPE,
    )


def task_of(table: TrainingTable, registry: ModelRegistry, **settings: str) -> TrainingTask:
    return TrainingTask(
        member=Member("BTC", Trend.UPTREND),
        algorithm="KNeighbors",
        table=table,
        as_of=AS_OF,
        recipe=Recipe.from_settings({**RECIPE.to_settings(), **settings}),
        synthetic=True,
        registry=registry,
        parent_run_id="parent",
        dagster_run_id="dagster",
    )


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    folder = tmp_path_factory.mktemp("mlflow")
    made = ModelRegistry(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))
    made.prepare()
    return made


@pytest.fixture(scope="module")
def candidate(table: TrainingTable, registry: ModelRegistry) -> TrainedCandidate:
    """The candidate that every test finds in the registry."""
    made = train_candidate(task_of(table, registry))
    assert isinstance(made, TrainedCandidate), made
    return made


def test_a_run_holds_the_promise_and_the_rows_behind_it(registry, candidate):
    result = candidate
    run = registry.client.get_run(result.run_id)
    metrics = run.data.metrics
    evaluation = pd.read_parquet(
        Path(run.info.artifact_uri.removeprefix("file://")) / "evaluation.parquet"
    )
    error = (evaluation["probability"] - evaluation["label"]) ** 2
    reference_error = (evaluation["reference_probability"] - evaluation["label"]) ** 2
    assert metrics["brier_score"] == pytest.approx(error.mean())
    assert metrics["reference_brier_score"] == pytest.approx(reference_error.mean())
    assert metrics["skill_over_reference"] == pytest.approx(
        1 - error.mean() / reference_error.mean()
    )
    assert metrics["brier_score_low"] < metrics["brier_score"] < metrics["brier_score_high"]
    assert metrics["effective_sample_size"] == len(evaluation) / 20
    steps = registry.client.get_metric_history(result.run_id, "fold/brier_score")
    by_fold = error.groupby(evaluation["fold"]).mean()
    assert {step.step: step.value for step in steps} == pytest.approx(by_fold.to_dict())
    assert run.data.params["estimator.n_neighbors"] == "5"
    assert 0 < metrics["fit/seconds"] < (run.info.end_time - run.info.start_time) / 1000
    assert not [name for name in result.metrics if "/" in name]


def test_it_is_told_which_candidates_were_trained_and_which_reused(table, registry, candidate):
    stored = stored_candidates(task_of(table, registry)).get("KNeighbors")
    assert stored is not None
    assert stored.run_id == candidate.run_id
    same = task_of(table, registry)
    other = replace(same, member=Member("ETH", Trend.UPTREND))
    told = [
        (task.member.symbol, result.run_id == stored.run_id, is_reused)
        for task, result, is_reused in train_candidates(WorkerPool(), [other, same])
    ]
    assert told == [("BTC", True, True), ("ETH", False, False)]
    [(_, anew, is_reused)] = train_candidates(WorkerPool(), [same], anew=True)
    assert (anew.run_id == stored.run_id, is_reused) == (False, False)


def test_a_member_whose_runs_cannot_be_looked_for_stops_no_other(
    table, registry, tmp_path, monkeypatch
):
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 0)  # it would wait 100 seconds
    (tmp_path / "mlflow.db").mkdir()
    lost = ModelRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", str(tmp_path / "artifacts"))
    sound = task_of(table, registry)
    other = replace(sound, member=Member("ETH", Trend.DOWNTREND), registry=lost)
    outcomes = {
        (task.member.symbol, task.algorithm): result
        for task, result, _ in train_candidates(
            WorkerPool(), [other, replace(other, algorithm="LightGBM"), sound]
        )
    }
    assert isinstance(outcomes["BTC", "KNeighbors"], TrainedCandidate)
    assert isinstance(outcomes["ETH", "KNeighbors"], Failure)
    assert isinstance(outcomes["ETH", "LightGBM"], Failure)


@pytest.mark.usefixtures("candidate")
def test_runs_can_be_laid_side_by_side(table, registry):
    """The scores by fold are a table as MLflow shows it, the rows a dataset it compares by."""
    stored = stored_candidates(task_of(table, registry)).get("KNeighbors")
    assert stored is not None
    run = registry.client.get_run(stored.run_id)
    (named,) = json.loads(run.data.tags["mlflow.loggedArtifacts"])
    file = Path(run.info.artifact_uri.removeprefix("file://")) / named["path"]
    folds = pd.read_json(file, orient="split")
    by_step = registry.client.get_metric_history(stored.run_id, "fold/brier_score")
    assert named["type"] == "table"
    assert list(folds["fold"]) == [2, 3, 4, 5]
    assert list(folds["brier_score"]) == pytest.approx([step.value for step in by_step])
    assert {"reference_brier_score", "precision"} <= set(folds.columns)
    (given,) = run.inputs.dataset_inputs
    assert stored.data_hash.startswith(given.dataset.digest)


@pytest.mark.usefixtures("candidate")
def test_the_stored_model_serves_the_calibration_that_was_learned(table, registry):
    result = stored_candidates(task_of(table, registry)).get("KNeighbors")
    assert result is not None
    assert (
        stored_candidates(task_of(table, registry, calibration="platt")).get("KNeighbors") is None
    )
    assert score_row(task_of(table, registry), result)["status"] == "scored"
    logged = registry.client.get_run(result.run_id).data
    values = {name.removeprefix("calibration/"): one for name, one in logged.metrics.items()}
    assert logged.params["calibration_kind"] == "anchored"
    reference = pd.Series(table.reference_probability, index=table.index)
    rows = prediction_input(table.features, reference).iloc[-30:]
    model = registry.runs.load_model(result.run_id)
    raw = np.clip(model.predict_raw(rows), 0.01, 0.99)
    score = (
        values["reference_weight"] * logit(reference).iloc[-30:].to_numpy()
        + values["candidate_weight"] * np.log(raw / (1 - raw))
        + values["intercept"]
    )
    np.testing.assert_allclose(model.predict_probability(rows), 1 / (1 + np.exp(-score)))


def test_what_is_forecast_and_how_it_is_calibrated_makes_another_training(table, registry):
    keys = {
        training_key(task_of(table, registry, **settings), "RidgeClassifier")
        for settings in ({}, {"calibration": "platt"}, {"target": "sma_shift"})
    }
    assert len(keys) == 3


def test_scores_that_are_kept_at_once_are_those_kept_one_by_one(
    table: TrainingTable, tmp_path: Path
) -> None:
    stores = [FrameStore(str(tmp_path / name)) for name in ("one", "all")]
    task = task_of(table, ModelRegistry("", ""))
    scored = [
        (replace(task, member=Member(symbol, Trend.UPTREND), algorithm=name), Unscored("one class"))
        for name in ("KNeighbors", "LightGBM")
        for symbol in ("BTC", "ETH")
    ]
    for one in scored:
        keep_scores(stores[0], [one])
    assert [row["symbol"] for row in keep_scores(stores[1], scored)] == ["BTC", "ETH"] * 2
    for key in ("BTC|uptrend", "ETH|uptrend"):
        kept = [store.read("candidate_scores", key) for store in stores]
        pd.testing.assert_frame_equal(*kept)
        assert list(kept[1].columns) == list(CANDIDATE_SCORES.names)


def test_a_damaged_file_of_scores_is_made_anew_by_the_next_training(
    table: TrainingTable, tmp_path: Path
) -> None:
    store = FrameStore(str(tmp_path / "frames"))
    task = task_of(table, ModelRegistry("", ""))
    other = replace(task, algorithm="LightGBM")
    for one in (task, other, task):
        keep_scores(store, [(one, Unscored("one class"))])
    kept = store.read("candidate_scores", "BTC|uptrend")
    assert list(kept["algorithm"]) == ["LightGBM", "KNeighbors"]
    Path(store.path("candidate_scores", "BTC|uptrend")).write_bytes(b"PAR1 cut off")
    keep_scores(store, [(other, Unscored("one class"))])
    assert list(store.read("candidate_scores", "BTC|uptrend")["algorithm"]) == ["LightGBM"]
