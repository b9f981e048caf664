"""Market data as the provider gives it: bars, and the indicators computed from them."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from crypto_pool.defs.batches import process_partitions
from crypto_pool.defs.partitions import symbols
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.market import BAR_COLUMNS, validate_bars

OWNERS = ["team:pool"]


def column_schema(columns: Mapping[str, str]) -> dg.TableSchema:
    """A table schema for the UI."""
    return dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()])


@dg.asset(
    group_name="raw",
    partitions_def=symbols,
    backfill_policy=dg.BackfillPolicy.single_run(),
    io_manager_key="survivors",
    owners=OWNERS,
    kinds={"pandas", "parquet"},
    metadata={
        "dagster/column_schema": column_schema(
            {"date": "timestamp", **dict.fromkeys(BAR_COLUMNS, "float")}
        )
    },
)
def daily_bars(context: dg.AssetExecutionContext, pool: PoolResource) -> list[str]:
    """Closed daily bars of each coin, validated at the door; stored history never shrinks."""
    provider, store, settings = pool.provider, pool.store, pool.settings

    def pull(symbol: str) -> Mapping[str, Any]:
        raw = provider.daily_bars(symbol, settings.last_closed())
        checked = validate_bars(raw, symbol, settings.last_closed(), settings.min_history_bars)
        bars = checked.bars
        if store.exists("daily_bars", symbol):
            stored = store.read("daily_bars", symbol)
            bars = pd.concat([stored, bars[bars.index > stored.index.max()]])
        store.write("daily_bars", symbol, bars)
        return {
            "dagster/partition_row_count": len(bars),
            "first_bar": f"{bars.index.min():%Y-%m-%d}",
            "last_bar": f"{bars.index.max():%Y-%m-%d}",
            "source": provider.source,
            "synthetic": provider.synthetic,
            "faults": dg.MetadataValue.json([fault.message for fault in checked.faults]),
        }

    return process_partitions(context, pull)


@dg.asset(
    group_name="raw",
    partitions_def=symbols,
    deps=[daily_bars],
    backfill_policy=dg.BackfillPolicy.single_run(),
    io_manager_key="survivors",
    owners=OWNERS,
    kinds={"pandas", "parquet"},
)
def raw_indicators(context: dg.AssetExecutionContext, pool: PoolResource) -> list[str]:
    """Technical indicators of each coin, computed from its whole stored history with TA-Lib."""
    store, settings = pool.store, pool.settings

    def compute(symbol: str) -> Mapping[str, Any]:
        indicators = compute_indicators(
            store.read("daily_bars", symbol),
            time_period=settings.time_period,
            series_type=settings.series_type,
        )
        store.write("raw_indicators", symbol, indicators)
        return {"dagster/partition_row_count": len(indicators)}

    return process_partitions(context, compute)
