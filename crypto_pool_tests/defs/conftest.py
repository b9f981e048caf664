import pytest

from crypto_pool.settings import load_settings


@pytest.fixture
def data(tmp_path, monkeypatch, empty_store):
    """The data folder of a pool with a store of MLflow and nothing else."""
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_bytes(empty_store)
    monkeypatch.setenv("CRYPTO_POOL_DATA_DIR", str(tmp_path))
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()
