"""What became of the forecasts, and what follows for the champions that made them."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow.version import Version
from crypto_pool.defs.assets.predictions import daily_predictions
from crypto_pool.defs.batches import OWNERS, batched_asset, process_partitions, record_failure
from crypto_pool.defs.partitions import days
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.table_metadata import column_schema
from crypto_pool.domain.tables import OUTCOMES, REALISED_PERFORMANCE
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.promotion.reconciling import serving_versions
from crypto_pool.workflow.reviewing import EVERYBODY, Outcomes, Reviewer
from crypto_pool.workflow.scoring import score_day


@batched_asset(
    "predictions",
    days,
    deps=[daily_predictions],
    kinds={"pandas", "parquet"},
    metadata={"dagster/column_schema": column_schema(OUTCOMES.columns)},
)
def prediction_outcomes(context: dg.AssetExecutionContext, pool: PoolResource) -> list[str]:
    """What became of a day's forecasts, scored once the horizon has passed.

    Those made in a champion's shadow go into shadow_outcomes.
    """
    frames = FrameCache(pool.store)
    panel = frames.panel(pool.recipe.target)

    def score(day: str) -> Mapping[str, Any]:
        scored, pending, faults = score_day(frames, day, pool.now(), panel)
        for symbol, reason in faults.items():
            record_failure(context, context.asset_key, day, f"{symbol}: {reason}")
        return {"dagster/partition_row_count": scored, "pending": pending}

    return process_partitions(context, score)


@dg.asset(
    group_name="predictions",
    deps=[dg.AssetDep(prediction_outcomes, partition_mapping=dg.AllPartitionMapping())],
    owners=OWNERS,
    kinds={"pandas", "parquet"},
    metadata={"dagster/column_schema": column_schema(REALISED_PERFORMANCE.columns)},
)
def realised_performance(
    context: dg.AssetExecutionContext, pool: PoolResource
) -> dg.MaterializeResult[None]:
    """What champions delivered; one that is worse than the reference is quarantined.

    Where the version before it does better in its shadow, that one serves again. A member
    that cannot be reviewed goes on record, and holds up neither the others nor the publication;
    where MLflow does not answer, that is nobody.
    """
    decisions, members = Ledger(pool.store).by_member(), pool.members
    rules = pool.settings.review_rules
    as_of = pool.day_reached
    outcomes = Outcomes.read(pool.store, decisions, as_of, rules)
    for key, fault in outcomes.faults.items():
        record_failure(context, context.asset_key, key, f"CorruptPartition: {fault}")
    known: Mapping[tuple[str, str], Version] = {}
    registry: Any = None  # and nobody to be reviewed by it
    try:
        registry = pool.registry
        known = serving_versions(registry, decisions)
    except Exception as error:  # the boundary of MLflow, which a day's tables can do without
        record_failure(context, context.asset_key, EVERYBODY, f"{type(error).__name__}: {error}")
        members = []
    reviewer = Reviewer(pool.store, registry, rules, as_of, pool.now(), context.run.run_id)
    rows: list[dict[str, Any]] = []
    for member in members:
        try:
            row = reviewer.review(member, outcomes, decisions.of(member), known)
        except Exception as error:  # the boundary that isolates one member from the others
            reason = f"{type(error).__name__}: {error}"
            record_failure(context, context.asset_key, member.partition_key, reason)
            continue
        rows.append(row)
    whole = reviewer.review_pool(outcomes, rows)
    rows = [whole, *rows]
    pool.store.write("realised_performance", as_of.isoformat(), pd.DataFrame(rows))
    figures = {name: value for name, value in whole.items() if isinstance(value, int | float)}
    acted = [row["reason"] for row in rows if row["action"] not in (None, "keep")]
    return dg.MaterializeResult(
        metadata={**figures, "luck": whole["reason"], "members": len(rows) - 1, "acted_on": acted}
    )
