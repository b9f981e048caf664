"""The code of every logged model (models from code): MLflow runs this file to serve one."""

from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import pandas as pd

from crypto_pool.adapters.model_files import LoadedModel, load_model


class ServedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc, unused-ignore]
    """Takes the features and `reference_logit`, returns the served probability."""

    model: LoadedModel

    def load_context(self, context: Any) -> None:
        """Read the model from the artefacts beside this file."""
        self.model = load_model(Path(context.artifacts["calibration"]).parent, None)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> Any:
        """Give one served probability for each row."""
        return self.model.predict_probability(model_input)


mlflow.models.set_model(ServedModel())
