"""Daily forecasts, what became of them, and the DuckDB file that people query."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.defs.assets.features import feature_table
from crypto_pool.defs.assets.models import champion
from crypto_pool.defs.assets.raw import OWNERS
from crypto_pool.defs.batches import process_partitions, record_failure
from crypto_pool.defs.partitions import days
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.market import Member, Trend
from crypto_pool.workflow.forecasting import (
    Forecaster,
    SymbolFrames,
    choose_forecaster,
    forecast,
    score_predictions,
    was_registered_in_time,
)


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
    """Every champion's forecast for a closed bar date, the reference beside it.

    What the challengers would have said goes into the table shadow_predictions.
    """
    store, registry = pool.store, pool.registry
    members = [Member(symbol, trend) for symbol in pool.settings.symbols for trend in Trend]
    champions = registry.champions([member.name for member in members])
    challengers = registry.challengers([member.name for member in members])
    decisions = Ledger(store).by_member()
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
        shadows = [
            Forecaster(member, version, was_in_time=was_registered_in_time(version, bar_date))
            for member in members
            if (version := challengers.get(member.name)) is not None
        ]
        rows, shadow_rows = forecast_all(day, serving), forecast_all(day, shadows)
        store.write("daily_predictions", day, pd.DataFrame(rows))
        store.write("shadow_predictions", day, pd.DataFrame(shadow_rows))
        return {
            "dagster/partition_row_count": len(rows),
            "members_without_champion": len(members) - len(champions),
            "signals": sum(bool(row["signal"]) for row in rows),
            "shadow_predictions": len(shadow_rows),
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
        "shadow_predictions": store.read_all("shadow_predictions"),
        "champions": store.read_all("champions"),
        "promotions": store.read_all("promotions"),
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
