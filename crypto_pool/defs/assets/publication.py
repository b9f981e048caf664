"""The DuckDB file that people query."""

import dagster as dg

from crypto_pool.adapters.prediction_tables import query
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
from crypto_pool.domain.tables import TABLES
from crypto_pool.workflow.monitoring import OBSERVED_AT_ONCE
from crypto_pool.workflow.promotion.reconciling import reconcile_all
from crypto_pool.workflow.publishing import publish_pool

PARTITIONED: tuple[dg.AssetsDefinition | dg.AssetKey, ...] = (
    *(daily_bars, feature_table, champion, daily_predictions, prediction_outcomes),
    *map(candidate_key, CANDIDATES),
)
COUNTS = ", ".join(f"(SELECT count(*) FROM {name}) AS {name}_rows" for name in TABLES)
# What is made by hand reaches the page; a daily run publishes itself, and bars or features alone
# change nothing that is shown. Both conditions compare the times of events that one tick finds, as
# Dagster does only where neither side is put together by `&` or `|`.
MADE = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated()).allow(
    dg.AssetSelection.assets(champion, daily_predictions, prediction_outcomes)
)
FOLLOW = (
    MADE.since(dg.AutomationCondition.newly_updated()).with_label("made since it was published")
    & MADE.since(dg.AutomationCondition.newly_requested()).with_label("made since it was asked for")
    & ~dg.AutomationCondition.in_progress()
    & ~dg.AutomationCondition.any_deps_in_progress()
).with_label("publish what was made")


@dg.asset(
    group_name="predictions",
    deps=[
        realised_performance,
        panel_forecasts,
        *(dg.AssetDep(one, partition_mapping=dg.AllPartitionMapping()) for one in PARTITIONED),
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
    settings = pool.settings
    try:
        unreconciled = reconcile_all(pool.store, pool.registry, pool.members)
    except Exception as error:  # the boundary of MLflow: rows and aliases stay till it answers
        unreconciled = {"all": f"{type(error).__name__}: {error}"}
    path, unread = publish_pool(pool.store, settings.state_dir, pool.recipe)
    for key, fault in {**unreconciled, **unread}.items():
        record_failure(context, context.asset_key, key, fault)
    root = settings.publication_root
    copied = {} if root is None else {"copy": copy_publication(path, root)}
    tell_published(settings)
    if len(pool.members) > OBSERVED_AT_ONCE:  # a tick would need many to look at all
        pool.observe(pool.members)
    [counted] = query(settings.state_dir, f"SELECT {COUNTS}").to_dict("records")
    counts = {str(name): int(count) for name, count in counted.items()}
    return dg.MaterializeResult(
        metadata={"file": dg.MetadataValue.path(str(path)), **copied, **counts}
    )
