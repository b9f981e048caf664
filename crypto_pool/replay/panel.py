"""The panel alone over history: what it would have said on each day, and what came of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pandas as pd

from crypto_pool.domain.panel_skill import (
    by_half_year,
    panel_skill,
    range_coverage,
    score_panel,
    skill_by_move,
)
from crypto_pool.domain.recipe import Target
from crypto_pool.replay.memory import MemoryStore
from crypto_pool.workflow.history import coin_breaks
from crypto_pool.workflow.panel import PanelUpdate, update_panel

MOVES = (-0.2, -0.15, -0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1, 0.15, 0.2)


@dataclass(frozen=True)
class PanelReplay:
    """Scored forecasts of the days replayed, and the skill of each size of move on them."""

    scored: pd.DataFrame
    moves: Mapping[float, float]

    @classmethod
    def of(cls, update: PanelUpdate, target: Target, start: date, end: date) -> "PanelReplay":
        """Score what was forecast of the days from `start` through `end`."""
        forecasts = update.forecasts.loc[pd.Timestamp(start) : pd.Timestamp(end)]
        return cls(
            score_panel(forecasts, update.table, target),
            {} if forecasts.empty else skill_by_move(forecasts, update.table, target, MOVES),
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return skill and share inside the range: pooled, by half-year, by coin and by move."""
        parts = {"all": self.scored, **by_half_year(self.scored)}
        parts |= {str(coin): rows for coin, rows in self.scored.groupby(level="symbol")}
        return [_figures(name, rows) for name, rows in parts.items()]


def replay_panel(
    bars: Mapping[str, pd.DataFrame],
    target: Target,
    start: date,
    end: date,
    scored: Collection[str] | None = None,
) -> PanelReplay:
    """Fit and forecast as a pool of these bars does; score the days after `start` through `end`.

    Of all coins, or of those in `scored` alone.
    """
    store = MemoryStore()
    for symbol, frame in bars.items():
        store.write("daily_bars", symbol, frame)
    update = update_panel(store, target, end + timedelta(days=target.horizon), coin_breaks(store))
    if scored is not None:
        chosen = update.forecasts.index.isin(scored, level="symbol")
        update = replace(update, forecasts=update.forecasts[chosen])
    return PanelReplay.of(update, target, start + timedelta(days=1), end)


def _figures(name: str, scored: pd.DataFrame) -> dict[str, Any]:
    figures = panel_skill(scored).columns("skill_over_reference")
    figures |= range_coverage(scored).columns("inside_80")
    rounded = {key: None if value is None else round(value, 4) for key, value in figures.items()}
    return {"of": name, "rows": len(scored), **rounded}
