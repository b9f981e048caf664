"""What MLflow lacks of the panel's fits, written there."""

from collections.abc import Mapping
from datetime import date

import pandas as pd

from crypto_pool.adapters.charts import draw_panel_skill
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.mlflow.panel import PanelModels
from crypto_pool.adapters.mlflow.store import MlflowStore
from crypto_pool.domain.panel import PanelFit
from crypto_pool.domain.panel_features import panel_table
from crypto_pool.domain.panel_skill import by_half_year, panel_skill, range_coverage, score_panel
from crypto_pool.domain.recipe import Target
from crypto_pool.workflow.history import coin_breaks
from crypto_pool.workflow.panel import panel_terms, read_bars, stored_fits, stored_forecasts

SKILL_FILE = "skill_by_half_year.png"
FITS_A_RUN = 10


def log_missing_fits(
    mlflow: MlflowStore,
    store: FrameStore,
    target: Target,
    as_of: date,
    tags: Mapping[str, str],
    at_most: int = FITS_A_RUN,
) -> list[date]:
    """Give MLflow a run and a version of the latest fits that it lacks; return their origins.

    Walk-forward figures are of all forecasts whose outcome was known at the origin; the latest
    fit has them as a picture besides.
    """
    fits, terms, models = stored_fits(store, target), panel_terms(target), PanelModels(mlflow)
    known = models.known_origins(terms) if fits else set()
    missing = [fit for fit in fits if f"{fit.origin}" not in known][-at_most:]
    if not missing:
        return []
    table = panel_table(read_bars(store, as_of)[0], target, coin_breaks(store))
    scored = score_panel(stored_forecasts(store, target, as_of), table, target)
    for fit in missing:
        rows = scored.loc[: pd.Timestamp(fit.origin) - pd.Timedelta(days=target.horizon)]
        files = {}
        if fit is fits[-1] and len(rows):
            halves = {half: panel_skill(part) for half, part in by_half_year(rows).items()}
            title = f"The panel over the reference up to {fit.origin}, forecast before its outcomes"
            files = {SKILL_FILE: draw_panel_skill(halves, title)}
        models.log(fit, terms, _metrics(fit, rows), files, tags)
    models.show_latest(terms)
    return [fit.origin for fit in missing]


def _metrics(fit: PanelFit, scored: pd.DataFrame) -> dict[str, float]:
    figures = {
        "in_sample_skill": fit.skill,
        **panel_skill(scored).columns("walk_forward_skill"),
        "share_inside_range": range_coverage(scored).value,
        "scored_rows": float(len(scored)),
    }
    return {name: value for name, value in figures.items() if value is not None}
