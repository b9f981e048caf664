"""Daily forecasts of the champions, and of those in their shadow."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from crypto_pool.adapters.ledger import Ledger
from crypto_pool.defs.assets.features import feature_table
from crypto_pool.defs.assets.models import champion
from crypto_pool.defs.batches import batched_asset, process_partitions, record_failure
from crypto_pool.defs.freshness import daily_freshness
from crypto_pool.defs.partitions import days
from crypto_pool.defs.resources import PoolResource
from crypto_pool.errors import MissingFeatures
from crypto_pool.workflow.forecasting import (
    Forecaster,
    SymbolFrames,
    choose_forecaster,
    forecast,
    was_registered_in_time,
)
from crypto_pool.workflow.repairing import complete_decision


@batched_asset(
    "predictions",
    days,
    deps=[
        dg.AssetDep(champion, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(feature_table, partition_mapping=dg.AllPartitionMapping()),
    ],
    freshness_policy=daily_freshness,
    kinds={"pandas", "parquet"},
)
def daily_predictions(context: dg.AssetExecutionContext, pool: PoolResource) -> list[str]:
    """Every champion's forecast for a closed bar date, the reference beside it.

    What its challenger and the version before it would have said goes into shadow_predictions.
    """
    store, registry = pool.store, pool.registry
    members = pool.members
    decisions = Ledger(store).by_member()
    for member in members:
        complete_decision(registry, member, decisions.get(member, pd.DataFrame()))
    champions = registry.champions([member.name for member in members])
    shadowing = {
        member: [
            version
            for version in (registry.challenger(member.name), registry.previous(member.name))
            if version is not None
        ]
        for member in members
    }
    frames = SymbolFrames(store)

    def forecast_all(day: str, forecasters: Sequence[Forecaster]) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        for forecaster in forecasters:
            try:
                row = forecast(
                    frames,
                    registry,
                    forecaster,
                    date.fromisoformat(day),
                    pool.now(),
                    pool.settings.seed,
                    pool.settings.abstain_beyond_widths,
                )
            except Exception as error:  # one member never stops the others
                reason = f"{forecaster.member.name}: {type(error).__name__}: {error}"
                record_failure(context, context.asset_key, day, reason)
                continue
            rows.append(
                {**row, "dagster_run_id": context.run_id, "synthetic": pool.provider.synthetic}
            )
        return rows

    def predict(day: str) -> Mapping[str, Any]:
        bar_date = date.fromisoformat(day)
        serving = [
            choose_forecaster(
                registry,
                member,
                champions[member.name],
                decisions.get(member, pd.DataFrame()),
                bar_date,
            )
            for member in members
            if member.name in champions
        ]
        served = {one.member.name: one.version.version for one in serving}
        shadows = [
            Forecaster(member, version, was_in_time=was_registered_in_time(version, bar_date))
            for member, versions in shadowing.items()
            for version in versions
            if version.version != served.get(member.name)
        ]
        rows, shadow_rows = forecast_all(day, serving), forecast_all(day, shadows)
        if serving and not rows:
            raise MissingFeatures(f"no forecast for {day}: each of {len(serving)} members failed")
        for table, made in (("daily_predictions", rows), ("shadow_predictions", shadow_rows)):
            kept = rows_of_retired(pool, table, day)
            store.write(table, day, pd.DataFrame([*kept, *made]))
        return {
            "dagster/partition_row_count": len(rows),
            "members_without_champion": len(members) - len(champions),
            "signals": sum(bool(row["signal"]) for row in rows),
            "shadow_predictions": len(shadow_rows),
            "synthetic": pool.provider.synthetic,
        }

    return process_partitions(context, predict)


def rows_of_retired(pool: PoolResource, table: str, day: str) -> list[Mapping[str, Any]]:
    """What is stored of a day for members the pool no longer has; it stays queryable."""
    if not pool.store.exists(table, day):
        return []
    present = {(member.symbol, str(member.trend)) for member in pool.members}
    rows: list[Mapping[str, Any]] = [
        {str(name): value for name, value in row.items()}
        for row in pool.store.read(table, day).to_dict("records")
        if (row["symbol"], row["trend"]) not in present
    ]
    return rows
