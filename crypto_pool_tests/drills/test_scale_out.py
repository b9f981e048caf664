"""The short form of the drill past one machine: one coin on Postgres, S3 and Dask."""

import pytest

from crypto_pool.errors import InvalidSetting
from crypto_pool.settings import load_settings
from drills import scale_out
from drills._engines import INSTALL_POSTGRES, postgres_programs


@pytest.fixture
def settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def load(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"CRYPTO_POOL_{name.upper()}", value)
        load_settings.cache_clear()
        return load_settings()

    yield load
    load_settings.cache_clear()


@pytest.mark.campaign
def test_a_pool_on_a_cluster_survives_its_engines_and_equals_the_local_one():
    if postgres_programs() is None:
        pytest.skip(INSTALL_POSTGRES)
    figures = scale_out.run("BTC", "quick", hurt=0)
    assert figures["killed_worker_predictions"] >= 1
    assert figures["killed_worker_predictions_lost"] == 0
    assert figures["killed_worker_predictions_too_many"] == 0
    assert figures["killed_worker_tables_differing"] == []
    assert figures["copy_is_the_publication"]
    assert figures["champions_loaded"] >= 1
    assert figures["candidates_removed"] > 0
    assert figures["candidates_removed_bytes"] > 0
    assert figures["faults"] == figures["faults_named"] == 2, figures["by_fault"]
    assert figures["faults_healed"]


def test_workers_elsewhere_need_state_they_reach(settings):
    with pytest.raises(InvalidSetting, match="CRYPTO_POOL_MLFLOW_BACKEND_URI") as caught:
        settings(dask_scheduler="tcp://10.0.0.5:8786", parquet_root="s3://bucket/parquet")
    assert "CRYPTO_POOL_PARQUET_ROOT" not in str(caught.value)
    found = settings(
        dask_scheduler="tcp://10.0.0.5:8786",
        parquet_root="s3://bucket/parquet",
        mlflow_backend_uri="postgresql://pool:secret@db.internal/mlflow",
        mlflow_artifact_root="s3://bucket/artifacts",
    )
    assert found.tracking_uri == "postgresql+psycopg2://pool:secret@db.internal/mlflow"
    assert found.artifact_root == "s3://bucket/artifacts"
    assert "secret" not in repr(found)


def test_workers_of_this_machine_share_its_state(settings):
    found = settings(dask_scheduler="tcp://127.0.0.1:8786")
    assert found.tracking_uri.startswith("sqlite:///")


@pytest.mark.parametrize(
    ("name", "value"),
    [("dask_scheduler", "10.0.0.5"), ("mlflow_backend_uri", "mysql://pool@db.internal/mlflow")],
)
def test_an_address_of_another_kind_is_refused(settings, name, value):
    with pytest.raises(InvalidSetting, match=f"CRYPTO_POOL_{name.upper()}"):
        settings(**{name: value})


def test_a_password_is_not_shown_where_a_store_does_not_answer():
    from crypto_pool.domain.addresses import without_credentials

    shown = without_credentials("postgresql+psycopg2://pool:top%3Asecret@db.internal:5432/mlflow")
    assert shown == "postgresql+psycopg2://db.internal:5432/mlflow"
    assert without_credentials("sqlite:////data/mlflow.db") == "sqlite:////data/mlflow.db"


def test_a_backup_says_what_it_cannot_hold(new_pool):
    pool = new_pool(mlflow_artifact_root="s3://bucket/artifacts")
    done = pool.ask("backup", "pool.tar.gz")
    assert done.returncode == 4
    assert "CRYPTO_POOL_MLFLOW_ARTIFACT_ROOT" in " ".join(done.stderr.split())
