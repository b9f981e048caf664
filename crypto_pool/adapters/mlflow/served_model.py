"""The code of every logged model (models from code): MLflow runs this file to serve one."""

from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import pandas as pd

from crypto_pool.adapters.mlflow.artifact import load_model
from crypto_pool.domain.served_model import ServedModel


class PooledModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc, unused-ignore]
    """Takes the features, `reference_logit` and `panel_logit`, returns the served probability."""

    model: ServedModel

    def load_context(self, context: Any) -> None:
        """Read the model from the artefacts beside this file."""
        self.model = load_model(Path(context.artifacts["calibration"]).parent, None)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> Any:
        """Return one served probability for each row."""
        return self.model.predict_probability(model_input)


mlflow.models.set_model(PooledModel())
