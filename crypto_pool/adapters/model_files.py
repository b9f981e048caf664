"""Where models of version 1.0 look for what serves them: the code logged with them says so."""

from crypto_pool.adapters.mlflow.artifact import load_model
from crypto_pool.domain.served_model import ServedModel as LoadedModel

__all__ = ["LoadedModel", "load_model"]
