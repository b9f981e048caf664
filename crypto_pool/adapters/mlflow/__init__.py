"""MLflow as the pool uses it: runs of candidates, registered versions, their aliases.

A `ModelRegistry` holds two strings and is sent to workers as it is; each process makes
its own client. Importing this package imports neither MLflow nor scikit-learn. A model is
loaded by this project's own rules, never by code stored with it.
"""

from typing import Any

from crypto_pool.adapters.mlflow.runs import Runs
from crypto_pool.adapters.mlflow.store import MlflowStore
from crypto_pool.adapters.mlflow.upkeep import Upkeep
from crypto_pool.adapters.mlflow.versions import Versions


class ModelRegistry:
    """The pool's runs and versions in one MLflow store."""

    def __init__(self, tracking_uri: str, artifact_root: str, page_url: str = "") -> None:
        """Name the store, and where the pool's page is; nothing is opened before it is needed."""
        self.store = MlflowStore(tracking_uri, artifact_root)
        self.runs = Runs(self.store)
        self.upkeep = Upkeep(self.runs)
        self.versions = Versions(self.store, page_url)

    @property
    def client(self) -> Any:
        """The MLflow client of this process."""
        return self.store.client

    def prepare(self) -> "ModelRegistry":
        """Create the store and the parent runs' experiment; call once, before workers start.

        Returns itself.

        Raises:
            ModelUnavailable: the store is gone, or does not answer, such as a locked file.
        """
        self.store.prepare()
        return self
