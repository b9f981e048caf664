"""The DuckDB file that people query."""

import dagster as dg
import pandas as pd

from crypto_pool.adapters.prediction_tables import publish, query
from crypto_pool.adapters.publication_copy import copy_publication
from crypto_pool.defs.assets.outcomes import prediction_outcomes, realised_performance
from crypto_pool.defs.assets.panel import panel_forecasts
from crypto_pool.defs.assets.predictions import daily_predictions
from crypto_pool.defs.batches import OWNERS, record_failure
from crypto_pool.defs.heartbeat import tell_published
from crypto_pool.defs.resources import PoolResource
from crypto_pool.errors import CorruptPartition, QueryError
from crypto_pool.workflow.panel import stored_forecasts

# Tables with one partition a coin, and the asset each shows.
BY_SYMBOL = {"daily_bars": "daily_bars", "feature_tables": "feature_table"}


@dg.asset(
    group_name="predictions",
    deps=[
        dg.AssetDep(daily_predictions, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(prediction_outcomes, partition_mapping=dg.AllPartitionMapping()),
        realised_performance,
        panel_forecasts,
    ],
    owners=OWNERS,
    kinds={"duckdb"},
)
def prediction_tables(
    context: dg.AssetExecutionContext, pool: PoolResource
) -> dg.MaterializeResult[None]:
    """The DuckDB file `crypto_pool.duckdb`: a new file at each publication, then one link.

    Of a coin whose bars or features cannot be read the rows of the last publication stay.
    """
    store = pool.store
    frames = {
        "predictions": store.read_all("daily_predictions"),
        "prediction_outcomes": store.read_all("prediction_outcomes"),
        "shadow_predictions": store.read_all("shadow_predictions"),
        "shadow_outcomes": store.read_all("shadow_outcomes"),
        "realised_performance": store.read_all("realised_performance"),
        "champions": store.read_all("champions"),
        "promotions": store.read_all("promotions"),
        "candidate_scores": store.read_all("candidate_scores"),
    }
    frames["panel_forecasts"] = stored_forecasts(store, pool.recipe.target)
    for table, asset in BY_SYMBOL.items():
        frames[table], faults = by_symbol(pool, table, asset)
        for symbol, fault in faults.items():
            record_failure(context, context.asset_key, symbol, fault)
    path = publish(pool.settings.state_dir, frames, keep=pool.settings.keep_publications)
    root = pool.settings.publication_root
    copied = {} if root is None else {"copy": copy_publication(path, root)}
    tell_published(pool.settings)
    counts = {f"{name}_rows": len(frame) for name, frame in frames.items()}
    return dg.MaterializeResult(
        metadata={"file": dg.MetadataValue.path(str(path)), **copied, **counts}
    )


def by_symbol(pool: PoolResource, table: str, asset: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """All coins of a table, with the columns symbol and date in front, and faults by coin."""
    frames, faults = [], {}
    for symbol in pool.store.keys(asset):
        try:
            rows = pool.store.read(asset, symbol).reset_index().assign(symbol=symbol)
        except CorruptPartition as fault:  # one coin never stops the others
            faults[symbol] = f"CorruptPartition: {fault}"
            rows = _published(pool, table, symbol)
        frames.append(rows)
    filled = [rows for rows in frames if len(rows)]
    if not filled:
        return pd.DataFrame(), faults
    joined = pd.concat(filled, ignore_index=True)
    return joined[["symbol", "date", *(c for c in joined if c not in ("symbol", "date"))]], faults


def _published(pool: PoolResource, table: str, symbol: str) -> pd.DataFrame:
    """What the last publication has of a coin; nothing if there is none that can be read."""
    try:
        rows = query(pool.settings.state_dir, f"SELECT * FROM {table}")
    except QueryError:
        return pd.DataFrame()
    return rows[rows["symbol"] == symbol]
