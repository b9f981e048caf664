"""Daily forecasts of the champions, and of those in their shadow."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from crypto_pool.defs.assets.features import feature_table
from crypto_pool.defs.assets.models import champion
from crypto_pool.defs.batches import batched_asset, process_partitions, record_failure
from crypto_pool.defs.freshness import daily_freshness
from crypto_pool.defs.partitions import days
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.table_metadata import column_schema, forecast_list
from crypto_pool.domain.tables import PREDICTIONS
from crypto_pool.workflow.day_forecasts import DayForecaster
from crypto_pool.workflow.day_rows import stored_rows
from crypto_pool.workflow.frames import FrameCache


@batched_asset(
    "predictions",
    days,
    deps=[
        dg.AssetDep(champion, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(feature_table, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("panel_forecasts"),
    ],
    freshness_policy=daily_freshness,
    kinds={"pandas", "parquet"},
    metadata={"dagster/column_schema": column_schema(PREDICTIONS.columns)},
)
def daily_predictions(context: dg.AssetExecutionContext, pool: PoolResource) -> list[str]:
    """Every member's forecast for a closed bar date, the reference beside it.

    By its champion, or by the baseline where it has none.

    What its challenger and the version before it would have said goes into shadow_predictions.
    """
    forecaster = DayForecaster(
        pool.store,
        pool.registry,
        pool.members,
        pool.recipe,
        pool.forecast_at,
        frames=FrameCache(pool.store),
        abstain_beyond_widths=pool.settings.abstain_beyond_widths,
        stamp={"dagster_run_id": context.run.run_id, "synthetic": pool.provider.synthetic},
    )

    def predict(day: str) -> Mapping[str, Any]:
        result = forecaster.forecast_day(pool.settings.closed_day("partition", day))
        for name, reason in result.failures.items():
            record_failure(context, context.asset_key, day, f"{name}: {reason}")
        stored = stored_rows(pool.store, PREDICTIONS, day)
        return {
            **({"forecasts": forecast_list(stored, pool.settings.page_url)} if stored else {}),
            "dagster/partition_row_count": result.kept + len(result.made),
            "kept_from_before": result.kept,
            "members_without_row": len(result.without_row),
            "signals": sum(bool(row["signal"]) for row in result.made),
            "shadow_predictions": len(result.shadows),
            "synthetic": pool.provider.synthetic,
            **{f"no row of {name}": reason for name, reason in result.without_row.items()},
            **{f"no shadow of {name}": reason for name, reason in result.without_shadow.items()},
        }

    return process_partitions(context, predict)
