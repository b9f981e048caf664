"""The code of every logged fit of the panel (models from code): MLflow runs it to serve one."""

from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import pandas as pd

from crypto_pool.adapters.mlflow.panel import fit_from_json
from crypto_pool.domain.panel import PanelFit, forecast_sigma, trend_probabilities


class PanelModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc, unused-ignore]
    """Takes features, `s60` and `position`, returns `panel_up`, `panel_down` and `sigma`."""

    fit: PanelFit

    def load_context(self, context: Any) -> None:
        """Read the fit from the artefact beside this file."""
        self.fit = fit_from_json(Path(context.artifacts["panel_fit"]).read_bytes())

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return the forecast of each row."""
        sigma = forecast_sigma(self.fit, model_input)
        position = model_input["position"].to_numpy()
        up, down = trend_probabilities(position, sigma, self.fit.target)
        return pd.DataFrame({"panel_up": up, "panel_down": down, "sigma": sigma})


mlflow.models.set_model(PanelModel())
