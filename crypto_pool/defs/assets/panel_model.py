"""The fits of the panel in MLflow, made again where they were lost."""

import dagster as dg

from crypto_pool.defs.assets.panel import panel_forecasts
from crypto_pool.defs.assets.publication import prediction_tables
from crypto_pool.defs.batches import OWNERS
from crypto_pool.defs.resources import PoolResource


@dg.asset(
    group_name="models",
    deps=[panel_forecasts, prediction_tables],
    owners=OWNERS,
    kinds={"mlflow"},
    pool="panel",
)
def panel_model(
    context: dg.AssetExecutionContext, pool: PoolResource
) -> dg.MaterializeResult[None]:
    """Each fit of the panel in MLflow: a run and a version of `panel_model`, made where missing.

    After the day's forecasts are published, which need neither.
    """
    from crypto_pool.adapters.mlflow.panel import PanelModels
    from crypto_pool.workflow.panel_models import log_missing_fits

    logged = log_missing_fits(
        PanelModels(pool.registry.store),
        pool.store,
        pool.recipe.target,
        pool.as_of,
        {"dagster.run_id": context.run.run_id, "synthetic": str(pool.provider.synthetic).lower()},
    )
    return dg.MaterializeResult(metadata={"logged": ", ".join(map(str, logged)) or "none"})
