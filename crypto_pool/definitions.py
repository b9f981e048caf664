"""The Definitions object, nothing else."""

import dagster as dg

import crypto_pool.defs.assets
from crypto_pool.defs.alerting import alert_sensors
from crypto_pool.defs.batches import SucceededIOManager
from crypto_pool.defs.console import plain_console
from crypto_pool.defs.jobs import jobs
from crypto_pool.defs.resources import PoolResource, mlflow_parent_run
from crypto_pool.defs.retention import clean_up, clean_up_daily
from crypto_pool.defs.schedules import schedules
from crypto_pool.defs.sensors import sensors

defs = dg.Definitions(
    assets=dg.load_assets_from_package_module(crypto_pool.defs.assets),
    asset_checks=dg.load_asset_checks_from_package_module(crypto_pool.defs),
    jobs=[*jobs, clean_up],
    schedules=[*schedules, clean_up_daily],
    sensors=[*sensors, *alert_sensors],
    resources={
        "pool": PoolResource(bar_date="", only=[], as_then=False, train_anew=False),
        "mlflow": mlflow_parent_run,
        "succeeded": SucceededIOManager(),
    },
    loggers={"console": plain_console},
    # Process start and imports cost more than one member's training: a run is one process,
    # and its parallelism lies in the worker processes of a step.
    executor=dg.in_process_executor,
)
