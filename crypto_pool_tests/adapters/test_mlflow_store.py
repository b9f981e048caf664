"""The store's lock, its searches' pages, its experiments, and where artifacts lie."""

import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from crypto_pool.adapters import sqlite_files
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow import store as mlflow_store
from crypto_pool.adapters.mlflow.store import (
    PANEL_EXPERIMENT,
    TRAINING_EXPERIMENT,
    MlflowStore,
    as_uri,
    create_schema,
    local_path,
    pages,
    require_writable,
)
from crypto_pool.domain.recipe import Recipe
from crypto_pool.errors import ModelUnavailable
from crypto_pool_tests.adapters.conftest import MEMBER, MakeFit, log


def test_a_store_that_stays_locked_is_named_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(mlflow_store, "LOCK_TIMEOUT_SECONDS", 0.1)
    store = tmp_path / "mlflow.db"
    with (
        FileLock(f"{store}.lock"),
        pytest.raises(ModelUnavailable, match=r"mlflow\.db for 0 s: end the process that holds"),
    ):
        create_schema(f"sqlite:///{store}", str(tmp_path / "artifacts"))
    assert not store.exists()


def test_a_store_that_is_there_is_left_as_it_is(registry):
    made = registry.store.experiment_id("BTC_uptrend")
    folder = local_path(registry.store.artifact_root)
    create_schema(registry.store.tracking_uri, registry.store.artifact_root)
    folder.mkdir(exist_ok=True)
    (folder / "model").write_bytes(b"of a run")
    create_schema(registry.store.tracking_uri, registry.store.artifact_root)
    again = ModelRegistry(registry.store.tracking_uri, registry.store.artifact_root)
    assert again.client.get_experiment_by_name("BTC_uptrend").experiment_id == made


def test_a_search_is_followed_to_its_last_page():
    class Page(list):
        token = None

    first, last = Page("ab"), Page("c")
    first.token = "next"
    asked = []

    def search(page_token):
        asked.append(page_token)
        return last if page_token else first

    assert list(pages(search)) == ["a", "b", "c"]
    assert asked == [None, "next"]


@pytest.mark.parametrize(
    ("root", "uri"),
    [("s3://bucket/runs/", "s3://bucket/runs"), ("/data/my runs", "file:///data/my%20runs")],
)
def test_where_artifacts_lie_is_a_uri(root, uri):
    assert as_uri(root) == uri


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/data/runs", Path("/data/runs")),
        ("file:///data/my%20runs", Path("/data/my runs")),
        ("file:/data/runs", Path("/data/runs")),
        ("s3://bucket/runs", None),
    ],
)
def test_only_a_local_artifact_has_a_path(uri, path):
    assert local_path(uri) == path


def test_a_store_that_another_process_goes_on_writing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_files, "WRITER_SECONDS", 0.1)
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(ModelUnavailable, match=f"{path} does not answer: .* locked; end what"):
            require_writable(f"sqlite:///{path}")
        writer.rollback()
        require_writable(f"sqlite:///{path}")
        writer.execute("BEGIN IMMEDIATE")  # the check holds nothing
    require_writable("postgresql://nobody@nowhere/mlflow")


def test_a_postgres_that_cannot_be_reached_is_named_without_its_password(tmp_path):
    store = MlflowStore("postgresql+psycopg2://pool:pass-word@db:port/mlflow", str(tmp_path))
    with pytest.raises(ModelUnavailable, match=r"db:port/mlflow does not answer: .*port") as told:
        store.prepare()
    assert "CRYPTO_POOL_MLFLOW_BACKEND_URI" in str(told.value)
    assert "pass-word" not in str(told.value)


def test_an_experiment_that_another_process_makes_meanwhile_is_found():
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, RESOURCE_ALREADY_EXISTS

    class Client:
        def __init__(self, code):
            self.code, self.found = code, None

        def get_experiment_by_name(self, name):
            return self.found

        def create_experiment(self, name, artifact_location, tags):
            self.found = SimpleNamespace(experiment_id=7, lifecycle_stage="active")
            raise MlflowException("not made", self.code)

    assert store_of(Client(RESOURCE_ALREADY_EXISTS)).experiment_id("BTC_uptrend") == "7"
    with pytest.raises(MlflowException, match="not made"):
        store_of(Client(INTERNAL_ERROR)).experiment_id("BTC_uptrend")


def store_of(client: object) -> mlflow_store.MlflowStore:
    store = mlflow_store.MlflowStore("sqlite:///unused.db", "s3://bucket")
    store._client = client
    return store


def test_importing_the_registry_imports_nothing_heavy() -> None:
    code = (
        "import sys, crypto_pool.adapters.mlflow;"
        "sys.exit(', '.join({'mlflow', 'sklearn', 'pandas', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_mlflows_page_says_what_each_experiment_is_of_and_does_not_ask(
    registry: ModelRegistry,
) -> None:
    of = {MEMBER: "the baseline they have to beat", TRAINING_EXPERIMENT: "each training",
          PANEL_EXPERIMENT: "each origin"}  # fmt: skip
    for name, says in of.items():
        experiment = registry.client.get_experiment(registry.store.experiment_id(name))
        assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
        assert says in experiment.tags["mlflow.note.content"]


def test_workers_get_the_registry_and_not_its_client(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    record = log(registry, candidate_fit())

    copy = pickle.loads(pickle.dumps(registry))  # noqa: S301 - our own bytes

    assert copy.store.__dict__["_client"] is None
    assert copy.runs.find(MEMBER, "k-XGBoost").run_id == record.run_id


def test_a_store_without_what_mlflow_keeps_in_it_is_named(registry: ModelRegistry) -> None:
    with closing(sqlite3.connect(registry.store.tracking_uri.removeprefix("sqlite:///"))) as store:
        store.execute("ALTER TABLE experiments RENAME TO lost")
    again = ModelRegistry(registry.store.tracking_uri, registry.store.artifact_root)
    with pytest.raises(ModelUnavailable, match=r"(?s)mlflow\.db does not answer.*restore a backup"):
        again.prepare()


def test_an_experiment_that_somebody_deleted_is_restored_by_the_next_training(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    first = log(registry, candidate_fit())
    registry.client.delete_experiment(registry.store.experiment_id(MEMBER))
    again = ModelRegistry(registry.store.tracking_uri, registry.store.artifact_root)
    second = log(again, candidate_fit("LightGBM"))
    found = again.runs.latest(MEMBER, "d1", Recipe(), "c1")
    assert {one.run_id for one in found.values()} == {first.run_id, second.run_id}
