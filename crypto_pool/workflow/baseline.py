"""What the baseline says of a member's day: the panel, or the reference where there is no panel."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from crypto_pool.domain.explanation import Contribution
from crypto_pool.domain.members import Member
from crypto_pool.domain.moments import is_late
from crypto_pool.domain.panel import split_probability
from crypto_pool.domain.recipe import Target
from crypto_pool.domain.reference import clipped_logit
from crypto_pool.domain.served_model import BASELINES
from crypto_pool.domain.tables import PREDICTIONS
from crypto_pool.domain.who_serves import is_panel_barred
from crypto_pool.workflow.frames import FrameCache, reference_of
from crypto_pool.workflow.panel import TREND_COLUMNS, origins_of

PANEL, RANDOM_WALK = BASELINES


@dataclass(frozen=True)
class Baseline:
    """Forecasts by stored panel rows and the reference, for who has no model of its own.

    By the reference alone where the ledger has a member's `Panel` in quarantine.
    """

    frames: FrameCache
    panel: pd.DataFrame
    target: Target
    decisions: Mapping[Member, pd.DataFrame] = field(default_factory=dict)

    def row(
        self, member: Member, bar_date: date, now: datetime, own: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return a row of predictions without a signal; `own` says who serves and its status.

        Raises:
            MissingFeatures: not even the reference exists, or the coin is too young.
        """
        reference = reference_of(self.frames, member, bar_date, self.target)
        panel, decided = self.panel_of(member, bar_date), self.decisions.get(member)
        barred = decided is not None and is_panel_barred(decided, origins_of(self.panel), bar_date)
        is_panel = panel is not None and not barred
        algorithm, probability = (PANEL, panel) if is_panel else (RANDOM_WALK, reference)
        made = {
            "prediction_date": bar_date,
            "probability": probability,
            "signal": False,
            "late": is_late(now, bar_date),
            "reference_probability": reference,
            "panel_probability": panel,
            "algorithm": algorithm,
            "target": self.target.kind,
            "target_pct": self.target.pct,
            "prediction_window_days": self.target.horizon,
            "in_sample": False,
            "features": {BASELINES[algorithm]: float(clipped_logit(np.array(probability)))},
            "top_contributions": self.contributions(member, bar_date, reference, algorithm),
            "predicted_at_utc": now,
        }
        return PREDICTIONS.row(own, made, vars(member))

    def panel_of(self, member: Member, bar_date: date) -> float | None:
        """Return the panel's probability of a day, None where it has none."""
        key = pd.Timestamp(bar_date), member.symbol
        probability = self.panel[TREND_COLUMNS[member.trend]].get(key)
        return None if probability is None else float(probability)

    def contributions(
        self, member: Member, bar_date: date, reference: float, algorithm: str
    ) -> list[dict[str, Any]]:
        """Return how far each part moves a baseline's probability of a day."""
        known = pd.Series([reference], index=[pd.Timestamp(bar_date)])
        parts = self.split(member, known, algorithm).iloc[0]
        return [asdict(Contribution(str(name), float(part))) for name, part in parts.items()]

    def split(self, member: Member, reference: pd.Series, algorithm: str) -> pd.DataFrame:
        """Return how far each part moves a baseline's probability, on the days of `reference`.

        Of `Panel` the parts are reference, volatility and drift, of `RandomWalk` the reference;
        0.5 and a row's parts add up to its probability. A day without the panel is missing.
        """
        if algorithm == RANDOM_WALK:
            return pd.DataFrame({"reference": reference - 0.5})
        rows = self.panel.xs(member.symbol, level="symbol")
        days = rows.index.intersection(pd.DatetimeIndex(reference.index))
        return split_probability(
            pd.DataFrame(rows.loc[days]), reference[days], member.trend, self.target
        )
