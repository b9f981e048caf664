"""Old state goes; what a champion, a version, the ledger or a forecast refers to stays."""

import shutil
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.mlflow.store import local_path
from crypto_pool.adapters.mlflow.upkeep import Upkeep
from crypto_pool.adapters.prediction_tables import (
    LINK_NAME,
    publish,
    query,
    remove_old_publications,
)
from crypto_pool.defs.retention import clean_up, remove_old_runs
from crypto_pool.settings import load_settings
from crypto_pool.workflow.retention import (
    referred_dagster_runs,
    referred_model_runs,
    remove_old_answers,
)
from crypto_pool_tests.adapters.conftest import (  # fixtures
    candidate_fit,
    fitted,
    labels,
    registry,
    rows,
)
from crypto_pool_tests.conftest import ROOT

__all__ = ["candidate_fit", "fitted", "labels", "registry", "rows"]
MEMBER = "BTC_uptrend"
LATER = datetime.now(UTC) + timedelta(days=1)
EARLIER = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def candidates(registry, candidate_fit):
    """A registered run, one that a leaderboard names, and one that nothing refers to."""
    runs = [
        registry.runs.log(candidate_fit(evaluation=frame()), str(number), "dagster-1")
        for number in range(3)
    ]
    version = registry.versions.register(MEMBER, runs[0], {})
    registry.versions.set_aliases(MEMBER, {"champion": version})
    return runs


def remove(registry, kept=frozenset(), before=LATER):
    return registry.upkeep.remove_old(kept | registry.versions.registered_runs(), before)


def frame() -> pd.DataFrame:
    return pd.DataFrame({"label": [0, 1], "probability": [0.4, 0.6], "baseline_probability": 0.5})


def run_folders(registry, tmp_path, runs):
    root = tmp_path / "artifacts" / MEMBER
    tags = [registry.client.get_run(run.run_id).data.tags for run in runs]
    models = [root / "models" / tag["model_uri"].removeprefix("models:/") for tag in tags]
    return [
        (root / run.run_id).exists() and model.exists()
        for run, model in zip(runs, models, strict=True)
    ]


def test_a_candidate_nothing_refers_to_goes_and_its_metrics_stay(registry, candidates, tmp_path):
    kept = frozenset([candidates[1].run_id])
    count, size = remove(registry, kept)
    assert count == 1
    assert size > 1000
    assert run_folders(registry, tmp_path, candidates) == [True, True, False]
    assert registry.versions.get(MEMBER, "1").run_id == candidates[0].run_id
    registry.versions.load(MEMBER, "1")
    for run in candidates[:2]:
        registry.runs.load_model(run.run_id)
        assert len(registry.runs.get(run.run_id).evaluation) == 2
    assert registry.client.get_run(candidates[2].run_id).data.metrics["overall_score"] == 0.7
    assert registry.runs.find(MEMBER, "2") is None
    assert registry.runs.find(MEMBER, "1") is not None
    assert remove(registry, kept)[0] == 0


def test_a_young_candidate_stays(registry, candidates, tmp_path):
    assert remove(registry, before=EARLIER)[0] == 0
    assert run_folders(registry, tmp_path, candidates) == [True] * 3


def test_a_registered_run_that_somebody_marked_as_deleted_keeps_its_files(
    registry, candidates, tmp_path
):
    registry.client.delete_run(candidates[0].run_id)
    remove(registry)
    assert run_folders(registry, tmp_path, candidates) == [True, False, False]
    registry.versions.load(MEMBER, "1")


def test_a_removal_that_was_interrupted_is_finished_the_next_time(
    registry, candidates, tmp_path, monkeypatch
):
    def stop(_upkeep: Upkeep, _folder: str) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Upkeep, "_remove", stop)
        with pytest.raises(OSError, match="Input/output"):
            remove(registry)
    assert registry.runs.find(MEMBER, "2") is None
    assert run_folders(registry, tmp_path, candidates) == [True] * 3
    assert remove(registry)[0] == 2
    assert run_folders(registry, tmp_path, candidates) == [True, False, False]


def test_files_outside_the_artifact_root_are_never_removed(registry, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    experiment = registry.client.create_experiment("other", artifact_location=elsewhere.as_uri())
    run = registry.client.create_run(experiment, tags={"algorithm": "XGBoost"}).info.run_id
    kept = elsewhere / run / "artifacts" / "kept.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("of somebody else")
    registry.runs.end(run, "FINISHED")
    assert remove(registry)[0] == 0
    assert kept.exists()


def test_another_s_run_in_a_member_s_experiment_stays_whole(registry, candidates):
    """With a tag `algorithm` of its own, and one that its owner has deleted."""
    experiment, kept = registry.store.experiment_id(MEMBER), []
    for _ in range(2):
        run = registry.client.create_run(experiment, tags={"algorithm": "XGBoost"}).info
        registry.client.log_text(run.run_id, "of somebody else", "kept.txt")
        registry.runs.end(run.run_id, "FINISHED")
        kept.append(run)
    registry.client.delete_run(kept[1].run_id)
    remove(registry)
    assert registry.client.get_run(kept[0].run_id).info.lifecycle_stage == "active"
    for run in kept:
        assert (local_path(run.artifact_uri) / "kept.txt").exists()


def test_parent_runs_stay(registry, candidates):
    parent = registry.client.create_run(
        registry.store.experiment_id("crypto_pool_training")
    ).info.run_id
    registry.runs.end(parent, "FINISHED")
    remove(registry)
    assert registry.client.get_run(parent).info.lifecycle_stage == "active"


def test_what_tables_refer_to_is_found(tmp_path):
    store = FrameStore(str(tmp_path))
    assert referred_model_runs(store) == referred_dagster_runs(store) == frozenset()
    store.write("candidate_scores", "a", pd.DataFrame({"run_id": ["m1", None]}))
    store.write("champions", "a", pd.DataFrame({"run_id": ["m2"]}))
    store.write("daily_predictions", "a", pd.DataFrame({"dagster_run_id": ["d1"]}))
    store.write("promotions", "a", pd.DataFrame({"dagster_run_id": ["d2"]}))
    assert referred_model_runs(store) == {"m1", "m2"}
    assert referred_dagster_runs(store) == {"d1", "d2"}


def test_old_answers_go_by_their_day(tmp_path):
    for name in ("2023-05-01", "2023-05-02", ".locks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "BTC.json.gz").write_bytes(b"x")
    assert remove_old_answers(tmp_path, date(2023, 5, 2)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".locks", "2023-05-02"]
    assert remove_old_answers(tmp_path / "none", date(2023, 5, 2)) == 0


def test_the_publication_the_link_points_at_stays_however_old(tmp_path):
    first = publish(tmp_path, {}, keep=9)
    for _ in range(3):
        publish(tmp_path, {}, keep=9)
    (tmp_path / LINK_NAME).unlink()
    (tmp_path / LINK_NAME).symlink_to(first.name)
    assert remove_old_publications(tmp_path, 1) == 2
    assert len(list(tmp_path.glob("crypto_pool-*.duckdb"))) == 2
    assert query(tmp_path, "SELECT count(*) AS rows FROM predictions")["rows"].tolist() == [0]


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def numbers() -> None:
    """An asset of two partitions."""


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def idle() -> None:
    """A job without an asset."""
    nothing()


def test_runs_go_but_for_those_that_a_partition_or_a_table_rests_on(tmp_path):
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        superseded, latest, other = (
            dg.materialize([numbers], instance=instance, partition_key=key).run_id
            for key in ("a", "a", "b")
        )
        named, unnamed = (idle.execute_in_process(instance=instance).run_id for _ in range(2))
        assert remove_old_runs(instance, frozenset([named]), EARLIER) == 0
        assert remove_old_runs(instance, frozenset([named]), LATER) == 2
        assert {run.run_id for run in instance.get_runs()} == {latest, other, named}
        assert instance.get_materialized_partitions(numbers.key) == {"a", "b"}
        assert instance.get_latest_materialization_event(numbers.key).run_id == other
    left = {path.stem for path in (tmp_path / "history" / "runs").glob("*-*.db")}
    assert left == {latest, other, named}
    logs = {path.name for path in (tmp_path / "storage").iterdir()}
    assert not {superseded, unnamed} & logs
    assert {latest, other} <= logs


@pytest.fixture
def home(tmp_path, monkeypatch, empty_store):
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", tmp_path)
    (tmp_path / "data" / "mlflow").mkdir(parents=True)
    (tmp_path / "data" / "mlflow" / "mlflow.db").write_bytes(empty_store)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


def test_the_job_removes_answers_older_than_ninety_days(home):
    def answers() -> list[str]:
        return sorted(path.name for path in (home / "data" / "raw_answers").iterdir())

    from crypto_pool.definitions import defs

    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=age)).isoformat() for age in (0, 20, 200)]
    for day in days:
        (home / "data" / "raw_answers" / day).mkdir(parents=True)
    job = defs.resolve_job_def(clean_up.name)

    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert job.execute_in_process(instance=instance).success
    assert answers() == sorted(days[:2])
