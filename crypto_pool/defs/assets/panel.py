"""The panel: one model of all coins, and what it says of each of them on each day."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from crypto_pool.defs.assets.raw import daily_bars
from crypto_pool.defs.batches import OWNERS, record_failure
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.table_metadata import column_schema, shown_table
from crypto_pool.domain.panel_skill import by_half_year, panel_skill, score_panel
from crypto_pool.domain.recipe import Target
from crypto_pool.domain.tables import PANEL_FORECASTS
from crypto_pool.workflow.history import coin_breaks
from crypto_pool.workflow.panel import PanelUpdate, update_panel


@dg.asset(
    group_name="features",
    deps=[daily_bars],
    owners=OWNERS,
    kinds={"scipy", "parquet"},
    pool="panel",
    metadata={"dagster/column_schema": column_schema(PANEL_FORECASTS.columns)},
)
def panel_forecasts(
    context: dg.AssetExecutionContext, pool: PoolResource
) -> dg.MaterializeResult[None]:
    """What the panel says of each coin and day: fitted every 60 days, each row made once.

    A fit forecasts the days after its origin, of bars whose outcome it knew then.
    """
    update = update_panel(pool.store, pool.recipe.target, pool.as_of, coin_breaks(pool.store))
    for symbol, reason in update.faults.items():
        record_failure(context, context.asset_key, symbol, reason)
    return dg.MaterializeResult(metadata=panel_metadata(update, pool.recipe.target))


def panel_metadata(update: PanelUpdate, target: Target) -> Mapping[str, Any]:
    """What the UI shows of the panel: its skill so far, and what it expects of each coin."""
    counts = {
        "dagster/row_count": len(update.forecasts),
        "rows_added": update.added_rows,
        "fits": len(update.fits),
        "fits_added": len(update.added_fits),
    }
    if not update.fits:
        return {**counts, "panel": "none yet: it needs 5 x 365 coin-days with a known outcome"}
    latest = update.fits[max(update.fits)]
    scored = score_panel(update.forecasts, update.table, target)
    figures = panel_skill(scored).columns("skill_over_reference")
    return {
        **counts,
        "origin": latest.origin.isoformat(),
        "training_rows": latest.rows,
        "coins": ", ".join(latest.symbols),
        "scored_rows": len(scored),
        **{name: value for name, value in figures.items() if value is not None},
        **(_skill_picture(scored) if update.added_fits else {}),
        "latest_forecasts": _latest_table(update.forecasts),
    }


def _skill_picture(scored: pd.DataFrame) -> Mapping[str, Any]:
    """Draw it with each new fit; a day that adds none has no time for pictures."""
    halves = {half: panel_skill(rows) for half, rows in by_half_year(scored).items()}
    if not halves:
        return {}
    from crypto_pool.adapters.charts import as_markdown, draw_panel_skill

    title = "The panel over the reference, forecast before its outcomes were known"
    png = draw_panel_skill(halves, title)
    return {"skill_by_half_year": dg.MetadataValue.md(as_markdown(png, title))}


def _latest_table(forecasts: pd.DataFrame) -> dg.TableMetadataValue:
    """What is expected of each coin on the latest day that it has."""
    latest = forecasts.reset_index().groupby("symbol").tail(1).sort_values("symbol")
    return shown_table(PANEL_FORECASTS, latest.to_dict("records"))
