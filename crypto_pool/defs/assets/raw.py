"""Market data as the provider gives it: bars, and the indicators computed from them."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from crypto_pool.defs.batches import batch_keys, batched_asset, process_partitions
from crypto_pool.defs.freshness import daily_freshness
from crypto_pool.defs.partitions import symbols
from crypto_pool.defs.pictures import price_picture, requests_metadata
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.table_metadata import column_schema
from crypto_pool.domain.bar_history import name_days
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.tables import DAILY_BARS
from crypto_pool.workflow.history import retired_from
from crypto_pool.workflow.pulling import require_fits


@batched_asset(
    "raw",
    symbols,
    freshness_policy=daily_freshness,
    kinds={"pandas", "parquet"},
    metadata={"dagster/column_schema": column_schema(DAILY_BARS.columns[1:])},
)
def daily_bars(context: dg.AssetExecutionContext, pool: PoolResource) -> list[str]:
    """Closed daily bars of each coin, validated when pulled; stored history never shrinks."""
    puller = pool.puller
    retired = retired_from(pool.store, batch_keys(context))
    plan = puller.plan(batch_keys(context), pool.settings.indicator_source == "provider")
    if plan is not None:
        context.log.info(plan.message)

    def pull(symbol: str) -> Mapping[str, Any]:
        first = retired.get(symbol)
        if first is not None and first <= pool.as_of:
            return {"retired_from": first.isoformat()}
        require_fits(plan, symbol)
        merge, faults = puller.pull(symbol)
        return {
            "dagster/partition_row_count": len(merge.bars),
            "first_bar": f"{merge.bars.index.min():%Y-%m-%d}",
            "last_bar": f"{merge.bars.index.max():%Y-%m-%d}",
            "joined": merge.verdict,
            "added": merge.added,
            "restated_days": len(merge.restated),
            "restated": name_days(merge.restated),
            "replaced": name_days(merge.replaced),
            "older_days_left_out": merge.older,
            "source": puller.provider.source,
            "synthetic": puller.provider.synthetic,
            "faults": dg.MetadataValue.json(list(faults)),
            **requests_metadata(pool),
            # A day has no time for it; each training draws it again.
            **(price_picture(pool, symbol) if merge.verdict == "first" else {}),
        }

    return process_partitions(context, pull, order=plan.fits if plan else ())


@batched_asset("raw", symbols, deps=[daily_bars], kinds={"pandas", "parquet"})
def raw_indicators(context: dg.AssetExecutionContext, pool: PoolResource) -> list[str]:
    """Technical indicators of each coin, from its whole history or as the provider has them."""
    puller, settings = pool.puller, pool.settings
    terms: Any = {"time_period": settings.time_period, "series_type": settings.series_type}

    def compute(symbol: str) -> Mapping[str, Any]:
        if settings.indicator_source == "provider":
            indicators = puller.provider_indicators(symbol, **terms)
        else:
            indicators = compute_indicators(pool.store.read("daily_bars", symbol), **terms)
        pool.store.write("raw_indicators", symbol, indicators)
        return {
            "dagster/partition_row_count": len(indicators),
            "indicator_source": settings.indicator_source,
            **requests_metadata(pool),
        }

    return process_partitions(context, compute)
