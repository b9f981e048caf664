"""The registry's own store: made once, made whole, and never taken for a new one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.store import TRAINING_EXPERIMENT, as_uri
from crypto_pool.errors import ModelUnavailable
from crypto_pool_tests.adapters.conftest import MakeFit, kill_while_writing, log


def test_the_store_is_made_once_however_many_ask(tmp_path: Path) -> None:
    def prepare(_: int) -> str:
        made = ModelRegistry(f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}", str(tmp_path / "a"))
        made.prepare()
        return made.store.experiment_id(TRAINING_EXPERIMENT)

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(prepare, range(4)))) == 1

    left = {path.name for path in (tmp_path / "new").iterdir()}
    assert left - {"mlflow.db-wal", "mlflow.db-shm", "mlflow.db.lock"} == {"mlflow.db"}


def test_a_store_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    kill_while_writing(tmp_path / "mlflow.db")

    made = ModelRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", str(tmp_path / "artifacts"))
    made.prepare()

    assert made.versions.aliases() == {}
    assert not list(tmp_path.glob(".mlflow.db*"))


def test_what_a_moved_home_stored_is_found_where_it_is_now(
    registry: ModelRegistry,
    candidate_fit: MakeFit,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And where artifacts of others lie, or the pool's beyond its root, stays as it was."""
    run = log(registry, candidate_fit()).run_id
    others = {
        "others": f"file://{tmp_path}/artifacts/others",
        "ADA_uptrend": "s3://bucket/ADA_uptrend",
        "ETH_uptrend": f"file://{tmp_path}/artifacts/moved",
    }
    for name, place in others.items():
        registry.client.create_experiment(name, place)
    nowhere = ModelRegistry(registry.store.tracking_uri, str(tmp_path / "nowhere"))
    nowhere.prepare()
    assert nowhere.runs.get(run).algorithm == "XGBoost"
    assert not caplog.records
    moved = (tmp_path / "artifacts").rename(tmp_path / "here")
    here = ModelRegistry(registry.store.tracking_uri, str(moved))
    for _ in range(2):
        here.prepare()
    assert here.runs.get(run).algorithm == "XGBoost"
    [said] = [record.getMessage() for record in caplog.records]
    before, now = (as_uri(str(place)) for place in (tmp_path / "artifacts", moved))
    assert said == f"this home was at another place: {before} is now {now}"
    place = here.client.get_experiment_by_name("ADA_uptrend").artifact_location
    assert place == "s3://bucket/ADA_uptrend"


def test_a_store_that_is_gone_is_not_taken_for_a_new_one(
    registry: ModelRegistry, candidate_fit: MakeFit, tmp_path: Path
) -> None:
    record = log(registry, candidate_fit())
    moved = (tmp_path / "mlflow.db").rename(tmp_path / "away.db")
    again = ModelRegistry(registry.store.tracking_uri, registry.store.artifact_root)
    with pytest.raises(ModelUnavailable, match=r"mlflow\.db is gone.*restore a backup"):
        again.prepare()
    assert not (tmp_path / "mlflow.db").exists()
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(ModelUnavailable, match=r"mlflow\.db is gone or empty"):
        again.prepare()
    moved.rename(tmp_path / "mlflow.db")
    again.prepare()
    assert again.runs.get(record.run_id).algorithm == "XGBoost"
