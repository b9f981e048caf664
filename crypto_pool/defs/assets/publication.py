"""The DuckDB file that people query."""

import dagster as dg

from crypto_pool.adapters.prediction_tables import publish, publishing
from crypto_pool.adapters.publication_copy import copy_publication
from crypto_pool.defs.assets.features import feature_table
from crypto_pool.defs.assets.models import candidate_key, champion
from crypto_pool.defs.assets.outcomes import prediction_outcomes, realised_performance
from crypto_pool.defs.assets.panel import panel_forecasts
from crypto_pool.defs.assets.predictions import daily_predictions
from crypto_pool.defs.assets.raw import daily_bars
from crypto_pool.defs.batches import OWNERS, record_failure
from crypto_pool.defs.heartbeat import tell_published
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.tables import CHAMPIONS, PANEL_FORECASTS
from crypto_pool.workflow.panel import panel_terms
from crypto_pool.workflow.promotion.reconciling import reconcile_all
from crypto_pool.workflow.publishing import read_tables, tell_faults

# What is made by hand reaches the page; a daily run publishes itself, and bars or features alone
# change nothing that is shown.
FOLLOW = (
    dg.AutomationCondition.any_deps_updated()
    .allow(dg.AssetSelection.assets(champion, daily_predictions, prediction_outcomes))
    .since_last_handled()
    & ~dg.AutomationCondition.in_progress()
    & ~dg.AutomationCondition.any_deps_in_progress()
).with_label("publish what was made")


@dg.asset(
    group_name="predictions",
    deps=[
        dg.AssetDep(daily_predictions, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(prediction_outcomes, partition_mapping=dg.AllPartitionMapping()),
        realised_performance,
        panel_forecasts,
        dg.AssetDep(champion, partition_mapping=dg.AllPartitionMapping()),
        *(
            dg.AssetDep(candidate_key(name), partition_mapping=dg.AllPartitionMapping())
            for name in CANDIDATES
        ),
        dg.AssetDep(daily_bars, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(feature_table, partition_mapping=dg.AllPartitionMapping()),
    ],
    automation_condition=FOLLOW,
    owners=OWNERS,
    kinds={"duckdb"},
)
def prediction_tables(
    context: dg.AssetExecutionContext, pool: PoolResource
) -> dg.MaterializeResult[None]:
    """The DuckDB file `crypto_pool.duckdb`: a new file at each publication, then one link.

    Of what cannot be read the rows of the last publication stay.
    """
    faults = reconcile_all(pool.store, pool.registry, pool.members)
    data_dir = pool.settings.state_dir
    prefixes = {PANEL_FORECASTS.name: panel_terms(pool.recipe.target)}
    with publishing(data_dir):
        readings = read_tables(pool.store, data_dir, prefixes)
        readings.frames[CHAMPIONS.name] = tell_faults(
            readings.frames[CHAMPIONS.name], pool.recipe.terms(())
        )
        path = publish(data_dir, readings.frames)
    for key, fault in {**faults, **readings.faults}.items():
        record_failure(context, context.asset_key, key, fault)
    root = pool.settings.publication_root
    copied = {} if root is None else {"copy": copy_publication(path, root)}
    tell_published(pool.settings)
    counts = {f"{name}_rows": len(frame) for name, frame in readings.frames.items()}
    return dg.MaterializeResult(
        metadata={"file": dg.MetadataValue.path(str(path)), **copied, **counts}
    )
