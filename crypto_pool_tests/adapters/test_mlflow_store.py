"""The store's lock, and the pages of its searches."""

import pytest
from filelock import FileLock

from crypto_pool.adapters import mlflow_store
from crypto_pool.adapters.mlflow_store import create_schema, pages
from crypto_pool.errors import ModelUnavailable


def test_a_store_that_stays_locked_is_named_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(mlflow_store, "LOCK_TIMEOUT_SECONDS", 0.1)
    store = tmp_path / "mlflow.db"
    with (
        FileLock(f"{store}.lock"),
        pytest.raises(ModelUnavailable, match=r"mlflow\.db for 0 s: end the process that holds"),
    ):
        create_schema(f"sqlite:///{store}", str(tmp_path / "artifacts"))
    assert not store.exists()


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
