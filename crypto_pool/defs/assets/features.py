"""The 19 features of each coin."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from crypto_pool.defs.assets.raw import raw_indicators
from crypto_pool.defs.batches import batched_asset, process_partitions
from crypto_pool.defs.partitions import symbols
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.table_metadata import column_schema
from crypto_pool.domain.feature_checks import check_features
from crypto_pool.domain.features import (
    assemble_features,
    feature_names,
    require_digits,
    require_rows,
)
from crypto_pool.domain.tables import with_features


@batched_asset(
    "features",
    symbols,
    deps=[raw_indicators],
    kinds={"pandas", "parquet"},
    metadata={"dagster/column_schema": column_schema(with_features(feature_names()).columns[1:])},
)
def feature_table(context: dg.AssetExecutionContext, pool: PoolResource) -> list[str]:
    """The 19 features by bar date; rows that are not clean are dropped and counted."""
    store, settings = pool.store, pool.settings

    def build(symbol: str) -> Mapping[str, Any]:
        bars, indicators = store.read("daily_bars", symbol), store.read("raw_indicators", symbol)
        built = assemble_features(indicators, settings.time_period, bars)
        require_digits(bars, symbol, settings.indicator_source)
        require_rows(built, symbol)
        check_features(built.features, symbol, settings.time_period)
        store.write("feature_table", symbol, built.features)
        return {
            "dagster/partition_row_count": len(built.features),
            **{f"dropped_{reason}": count for reason, count in built.dropped.items()},
        }

    return process_partitions(context, build)
