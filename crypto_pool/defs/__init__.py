"""All the Dagster code: partitions, resources, assets, checks and automation."""

import warnings

import dagster as dg

from crypto_pool.settings import load_settings

# Each said at every use; both libraries are pinned, and tests hold what the pool uses of them.
for _name in ("Parameter `backfill_policy`", "Function `_create_mlflow_run_hook`"):
    warnings.filterwarnings(
        "ignore", message=f"{_name} .* is currently in beta", category=dg.BetaWarning
    )

load_settings()  # and with them extensions: there is an asset for each candidate
