"""The DuckDB file that people query."""

import dagster as dg
import pandas as pd

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.adapters.publication_copy import copy_publication
from crypto_pool.defs.assets.outcomes import prediction_outcomes, realised_performance
from crypto_pool.defs.assets.predictions import daily_predictions
from crypto_pool.defs.batches import OWNERS
from crypto_pool.defs.resources import PoolResource


@dg.asset(
    group_name="predictions",
    deps=[
        dg.AssetDep(daily_predictions, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(prediction_outcomes, partition_mapping=dg.AllPartitionMapping()),
        realised_performance,
    ],
    owners=OWNERS,
    kinds={"duckdb"},
)
def prediction_tables(pool: PoolResource) -> dg.MaterializeResult[None]:
    """The DuckDB file `crypto_pool.duckdb`: a new file at each publication, then one link."""
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
        "daily_bars": by_symbol(pool, "daily_bars"),
        "feature_tables": by_symbol(pool, "feature_table"),
    }
    path = publish(pool.settings.state_dir, frames, keep=pool.settings.keep_publications)
    root = pool.settings.publication_root
    copied = {} if root is None else {"copy": copy_publication(path, root)}
    counts = {f"{name}_rows": len(frame) for name, frame in frames.items()}
    return dg.MaterializeResult(
        metadata={"file": dg.MetadataValue.path(str(path)), **copied, **counts}
    )


def by_symbol(pool: PoolResource, table: str) -> pd.DataFrame:
    """All coins of a table, with the columns symbol and date in front."""
    frames = [
        pool.store.read(table, symbol).reset_index().assign(symbol=symbol)
        for symbol in pool.store.keys(table)
    ]
    if not frames:
        return pd.DataFrame()
    joined = pd.concat(frames, ignore_index=True)
    return joined[["symbol", "date", *(c for c in joined if c not in ("symbol", "date"))]]
