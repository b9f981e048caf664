"""A publication by a real run."""

import dagster as dg

from crypto_pool.defs.assets.publication import prediction_tables
from crypto_pool.defs.checks import every_partition_processed
from crypto_pool.defs.resources import PoolResource


def published(*before):
    made = [*before, prediction_tables]
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [*made, *(every_partition_processed(one.key) for one in made)],
            resources={"pool": PoolResource(bar_date="", only=[])},
            instance=instance,
            raise_on_error=False,
        )
