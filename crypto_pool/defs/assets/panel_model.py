"""The fits of the panel in MLflow, made again where they were lost."""

from datetime import date

import dagster as dg

from crypto_pool.defs.assets.panel import panel_forecasts
from crypto_pool.defs.assets.publication import prediction_tables
from crypto_pool.defs.batches import OWNERS
from crypto_pool.defs.resources import PoolResource

LOGGED = dg.AssetCheckSpec(
    "panel_fits_are_in_mlflow",
    asset="panel_model",
    description="The latest fits of the panel have a run and a version in MLflow; none serves.",
)


@dg.asset(
    group_name="models",
    deps=[panel_forecasts, prediction_tables],
    owners=OWNERS,
    kinds={"mlflow"},
    pool="panel",
    check_specs=[LOGGED],
)
def panel_model(context: dg.AssetExecutionContext, pool: PoolResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # with [None] Dagster refuses a check
    """The fits of the panel in MLflow: a run and a version of `panel_model`, made where missing.

    Ten in each run, the latest first, after the day's forecasts, which load no MLflow, and where
    members are trained: what fails here is told by its check and tried again by the next run.
    """
    from crypto_pool.workflow.panel_models import log_missing_fits

    synthetic = str(pool.provider.synthetic).lower()
    tags = {"dagster.run_id": context.run.run_id, "synthetic": synthetic}
    fault, logged = "", list[date]()
    try:
        logged = log_missing_fits(
            pool.registry.store, pool.store, pool.recipe.target, pool.as_of, tags
        )
    except Exception as error:  # the boundary that holds up no day: the check tells it
        fault = f"{type(error).__name__}: {error}"
        context.log.warning(fault)
    check = dg.AssetCheckResult(
        passed=not fault, severity=dg.AssetCheckSeverity.WARN, description=fault or None
    )
    return dg.MaterializeResult(
        metadata={"logged": ", ".join(map(str, logged)) or "none"}, check_results=[check]
    )
