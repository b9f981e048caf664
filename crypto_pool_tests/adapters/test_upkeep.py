"""Old candidates go from MLflow; what is registered or referred to stays, and what others made."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from crypto_pool.adapters.mlflow.store import local_path
from crypto_pool.adapters.mlflow.upkeep import Upkeep
from crypto_pool_tests.adapters.conftest import MEMBER

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
    kept, gone = frozenset([candidates[1].run_id]), candidates[2].run_id
    model = registry.client.get_run(gone).data.tags["model_uri"].removeprefix("models:/")
    folders = [tmp_path / "artifacts" / MEMBER / part for part in (gone, f"models/{model}")]
    held = [file.stat().st_size for one in folders for file in one.rglob("*") if file.is_file()]
    assert len(held) > 3
    assert remove(registry, kept) == (1, sum(held))
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


def test_a_candidate_goes_once_it_ended_before_the_moment(registry, candidates, tmp_path):
    ended = registry.client.get_run(candidates[2].run_id).info.end_time
    kept = frozenset(run.run_id for run in candidates[:2])
    for late, count in ((0, 0), (1, 1)):
        moment = datetime.fromtimestamp((ended + late) / 1000, UTC)
        assert remove(registry, kept, moment)[0] == count


def test_the_pools_runs_without_a_live_dagster_run_are_ended(registry):
    """And what has none as it was just opened, or is somebody else's, goes on."""
    opened = registry.store.experiment_id("crypto_pool_training")
    of_member = registry.store.experiment_id(MEMBER)
    now = int(datetime.now(UTC).timestamp() * 1000)
    begun = {
        "of a dead run": (of_member, {"dagster_run_id": "dead"}, now),
        "below a dead run": (of_member, {"dagster.run_id": "dead"}, now),
        "of a live run": (of_member, {"dagster_run_id": "live"}, now - 10**7),
        "of nobody, long ago": (opened, {}, now - 61_000),
        "of nobody, a moment ago": (opened, {}, now - 30_000),
        "of somebody else": (of_member, {}, now - 10**7),
    }
    runs = {
        name: registry.client.create_run(experiment, start_time=start, tags=tags).info.run_id
        for name, (experiment, tags, start) in begun.items()
    }
    ended = ["of a dead run", "below a dead run", "of nobody, long ago"]
    assert registry.upkeep.close_orphans(lambda run: run == "live") == len(ended)
    status = {name: registry.client.get_run(run).info.status for name, run in runs.items()}
    assert [name for name, one in status.items() if one == "KILLED"] == ended
    assert set(status.values()) == {"KILLED", "RUNNING"}
    assert registry.upkeep.close_orphans(lambda run: run == "live") == 0


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


@pytest.mark.parametrize("within", ["elsewhere", "artifacts/../elsewhere"])
def test_files_of_the_pools_own_runs_elsewhere_are_never_removed(registry, tmp_path, within):
    """As in a home whose root was set to another place."""
    place = f"{tmp_path.as_uri()}/{within}"
    experiment = registry.client.create_experiment("own", place, {"crypto_pool.kind": "experiment"})
    run = registry.client.create_run(experiment, tags={"training_key": "k"}).info
    kept = tmp_path / "elsewhere" / run.run_id / "artifacts" / "kept.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("of an earlier place")
    registry.runs.end(run.run_id, "FINISHED")
    assert remove(registry) == (0, 0)
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
