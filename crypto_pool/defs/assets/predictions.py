"""Daily forecasts of the champions, and of those in their shadow."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.model_aliases import CHALLENGER, PREVIOUS
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
from crypto_pool.workflow.repairing import complete_decisions

MEMBER = ("symbol", "trend")
VERSION = (*MEMBER, "model_version")


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
    complete_decisions(registry, {m: decisions[m] for m in members if m in decisions})
    names = [member.name for member in members]
    champions = registry.champions(names)
    shadows_of = [registry.holders(alias, names) for alias in (CHALLENGER, PREVIOUS)]
    shadowing = {
        member: [holders[member.name] for holders in shadows_of if member.name in holders]
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
        kept = earlier_rows(store, "daily_predictions", day, rows)
        store.write("daily_predictions", day, pd.DataFrame([*kept, *rows]))
        kept_shadows = earlier_rows(
            store, "shadow_predictions", day, [*rows, *shadow_rows], VERSION
        )
        store.write("shadow_predictions", day, pd.DataFrame([*kept_shadows, *shadow_rows]))
        return {
            "dagster/partition_row_count": len(kept) + len(rows),
            "kept_from_before": len(kept),
            "members_without_champion": len(members) - len(champions),
            "signals": sum(bool(row["signal"]) for row in rows),
            "shadow_predictions": len(shadow_rows),
            "synthetic": pool.provider.synthetic,
        }

    return process_partitions(context, predict)


def earlier_rows(
    store: FrameStore,
    table: str,
    day: str,
    made: Sequence[Mapping[str, Any]],
    key: Sequence[str] = MEMBER,
) -> list[Mapping[str, Any]]:
    """What is stored of a day and was not made again; a forecast once made is never lost.

    Such are members the pool no longer has, and those whose forecast fails this time.
    """
    if not store.exists(table, day):
        return []
    again = {tuple(str(row[name]) for name in key) for row in made}
    rows: list[Mapping[str, Any]] = [
        {str(name): value for name, value in row.items()}
        for row in store.read(table, day).to_dict("records")
        if tuple(str(row[name]) for name in key) not in again
    ]
    return rows
