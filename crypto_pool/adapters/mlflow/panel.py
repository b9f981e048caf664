"""The fits of the panel in MLflow: a run and a version of `panel_model` for each origin.

They are copies to look at and to load elsewhere: the pool forecasts by those that lie in Parquet.
"""

import json
from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

import pandas as pd

from crypto_pool.adapters.mlflow.recording import new_run, put_files, register_version
from crypto_pool.adapters.mlflow.store import (
    OWN_TAG,
    PANEL_EXPERIMENT,
    MlflowStore,
    local_path,
    pages,
)
from crypto_pool.domain.panel import PanelFit

PANEL_MODEL = "panel_model"
LATEST = "champion"
ORIGIN_TAG, TERMS_TAG = "origin", "panel_terms"
FIT_FILE = "panel_fit.json"
KNOWN = """SELECT origins.value, versions.source FROM runs
    JOIN experiments USING (experiment_id)
    JOIN tags terms ON terms.run_uuid = runs.run_uuid AND terms.key = ? AND terms.value = ?
    JOIN model_versions versions ON versions.run_id = runs.run_uuid AND versions.name = ?
    JOIN model_version_tags origins ON origins.name = versions.name
        AND origins.version = versions.version AND origins.key = ?
    WHERE experiments.name = ? AND runs.status = 'FINISHED' AND runs.lifecycle_stage = 'active'
        AND versions.current_stage <> 'Deleted_Internal'"""
ABOUT = (
    "One model of all coins: the volatility of the days ahead, and both trends from it. A version "
    "for each origin; the pool forecasts by the same coefficients, stored beside its rows."
)
PACKAGES = ("crypto-pool", "mlflow", "numpy", "pandas", "scipy")


class PanelModels:
    """The runs and versions of the panel in one store."""

    def __init__(self, store: MlflowStore) -> None:
        """Use a store; nothing is opened before it is needed."""
        self.store = store

    def known_origins(self, terms: str) -> set[str]:
        """Return the origins, as their tags have them, whose run, version and files are there."""
        known = self.store.rows(KNOWN, TERMS_TAG, terms, PANEL_MODEL, ORIGIN_TAG, PANEL_EXPERIMENT)
        if known is not None:
            return {str(origin) for origin, source in known if _is_there(source)}
        client = self.store.client
        experiment = client.get_experiment_by_name(PANEL_EXPERIMENT)
        if experiment is None:
            return set()
        search = partial(
            client.search_runs, [experiment.experiment_id], f"tags.{TERMS_TAG} = '{terms}'"
        )
        runs = {run.info.run_id for run in pages(search) if run.info.status == "FINISHED"}
        versions = partial(client.search_model_versions, f"name = '{PANEL_MODEL}'")
        return {
            one.tags.get(ORIGIN_TAG, "")
            for one in pages(versions)
            if one.run_id in runs and _is_there(one.source)
        }

    def log(
        self,
        fit: PanelFit,
        terms: str,
        metrics: Mapping[str, float],
        files: Mapping[str, bytes],
        tags: Mapping[str, str],
    ) -> str:
        """Write run and version of a fit; return the version."""
        own = {**tags, OWN_TAG: "panel", TERMS_TAG: terms, ORIGIN_TAG: fit.origin.isoformat()}
        fitted, named = {FIT_FILE: fit_to_json(fit)}, {"mlflow.runName": f"panel {fit.origin}"}
        with new_run(self.store, PANEL_EXPERIMENT, {**own, **named}) as run:
            logged = run.write_model("served_panel.py", fitted, _signature(fit), PACKAGES)
            put_files(run.client, run.address, {**files, **fitted})
            figures = [(name, value, 0) for name, value in metrics.items()]
            uri = {"model_uri": f"models:/{logged.model_id}"}
            run.write_figures(figures, _parameters(fit), uri)
        words = f"The panel, fitted on what was known on {fit.origin}."
        version, model = {**own, OWN_TAG: "version"}, {"tags": {OWN_TAG: "panel"}}
        return register_version(
            run.client, PANEL_MODEL, logged, version, words, {**model, "description": ABOUT}
        )

    def show_latest(self, terms: str) -> None:
        """Point the alias at the version of the latest origin."""
        client = self.store.client
        versions = partial(client.search_model_versions, f"name = '{PANEL_MODEL}'")
        own = [one for one in pages(versions) if one.tags.get(TERMS_TAG) == terms]
        if own:
            latest = max(own, key=lambda one: (one.tags.get(ORIGIN_TAG, ""), int(one.version)))
            client.set_registered_model_alias(PANEL_MODEL, LATEST, latest.version)


def fit_to_json(fit: PanelFit) -> bytes:
    """Return a fit as JSON that people can read; numbers keep all their digits."""
    rows = fit.to_frame().reset_index().to_dict("records")
    return json.dumps(rows, indent=1, default=str).encode()


def fit_from_json(content: bytes) -> PanelFit:
    """Read what `fit_to_json` wrote."""
    frame = pd.DataFrame(json.loads(content)).set_index("feature")
    return PanelFit.from_frame(frame.assign(origin=frame["origin"].map(date.fromisoformat)))


def _parameters(fit: PanelFit) -> dict[str, Any]:
    """Return the fit by name: what it was made of, a0, a1, k, and the weight of each feature."""
    weights = fit.coefficients[["range_weight", "return_weight"]].mean(axis=1)
    return {
        "origin": fit.origin,
        "coins": ",".join(fit.symbols),
        "rows": fit.rows,
        "target": fit.target.kind,
        "target_pct": fit.target.pct,
        "prediction_window_days": fit.target.horizon,
        "a0": fit.level,
        "a1": fit.spread,
        "range_width": fit.range_width,
        **{f"weight_{name}": value for name, value in weights.items()},
    }


def _signature(fit: PanelFit) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    features = [ColSpec("double", str(name), required=False) for name in fit.coefficients.index]
    known = [ColSpec("double", name) for name in ("s60", "position")]
    answer = [ColSpec("double", name) for name in ("panel_up", "panel_down", "sigma")]
    return ModelSignature(inputs=Schema([*features, *known]), outputs=Schema(answer))


def _is_there(source: str) -> bool:
    path = local_path(source)
    return path is None or path.exists()
