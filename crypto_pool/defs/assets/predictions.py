"""Daily forecasts, what became of them, and the DuckDB file that people query."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.defs.assets.features import feature_table
from crypto_pool.defs.assets.models import champion
from crypto_pool.defs.assets.raw import OWNERS
from crypto_pool.defs.batches import process_partitions, record_failure
from crypto_pool.defs.partitions import days
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.market import Member, Trend
from crypto_pool.workflow.forecasting import forecast, score_predictions


@dg.asset(
    group_name="predictions",
    partitions_def=days,
    deps=[
        dg.AssetDep(champion, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(feature_table, partition_mapping=dg.AllPartitionMapping()),
    ],
    backfill_policy=dg.BackfillPolicy.single_run(),
    io_manager_key="survivors",
    owners=OWNERS,
    kinds={"pandas", "parquet"},
)
def daily_predictions(context: dg.AssetExecutionContext, pool: PoolResource) -> list[str]:
    """Every champion's forecast for a closed bar date, the reference beside it."""
    store, registry = pool.store, pool.registry
    members = [Member(symbol, trend) for symbol in pool.settings.symbols for trend in Trend]
    champions = registry.champions([member.name for member in members])

    def predict(day: str) -> Mapping[str, Any]:
        rows = []
        for member in members:
            if member.name not in champions:
                continue
            try:
                row = forecast(
                    store,
                    registry,
                    member,
                    champions[member.name],
                    date.fromisoformat(day),
                    pool.now(),
                )
            except Exception as error:  # one member never stops the others
                reason = f"{member.name}: {type(error).__name__}: {error}"
                record_failure(context, context.asset_key, day, reason)
                continue
            rows.append(
                {**row, "dagster_run_id": context.run_id, "synthetic": pool.provider.synthetic}
            )
        store.write("daily_predictions", day, pd.DataFrame(rows))
        return {
            "dagster/partition_row_count": len(rows),
            "members_without_champion": len(members) - len(champions),
            "signals": sum(bool(row["signal"]) for row in rows),
            "synthetic": pool.provider.synthetic,
        }

    return process_partitions(context, predict)


@dg.asset(
    group_name="predictions",
    partitions_def=days,
    deps=[daily_predictions],
    backfill_policy=dg.BackfillPolicy.single_run(),
    io_manager_key="survivors",
    owners=OWNERS,
    kinds={"pandas", "parquet"},
)
def prediction_outcomes(context: dg.AssetExecutionContext, pool: PoolResource) -> list[str]:
    """What became of a day's forecasts, scored once the horizon has passed."""
    store = pool.store

    def score(day: str) -> Mapping[str, Any]:
        predictions = store.read("daily_predictions", day)
        scored = score_predictions(store, predictions, pool.settings.time_period, pool.now())
        store.write("prediction_outcomes", day, scored)
        return {
            "dagster/partition_row_count": len(scored),
            "pending": len(predictions) - len(scored),
        }

    return process_partitions(context, score)


@dg.asset(
    group_name="predictions",
    deps=[
        dg.AssetDep(daily_predictions, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(prediction_outcomes, partition_mapping=dg.AllPartitionMapping()),
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
        "champions": store.read_all("champions"),
        "candidate_scores": store.read_all("candidate_scores"),
        "daily_bars": by_symbol(pool, "daily_bars"),
        "feature_tables": by_symbol(pool, "feature_table"),
    }
    path = publish(pool.settings.state_dir, frames)
    counts = {f"{name}_rows": len(frame) for name, frame in frames.items()}
    return dg.MaterializeResult(metadata={"file": dg.MetadataValue.path(str(path)), **counts})


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
