"""What the pool still owes: bars that are behind, days without forecasts, days to be scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import serving_version
from crypto_pool.domain.market import Member
from crypto_pool.workflow.forecasting import deadline_of
from crypto_pool.workflow.pulling import last_bar


@dataclass(frozen=True)
class DayPlan:
    """Coins to pull, bar dates to forecast by member, and to score; the oldest first."""

    behind: tuple[str, ...]
    forecast: Mapping[date, frozenset[str]]
    score: tuple[date, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is owed."""
        return not (self.behind or self.forecast or self.score)


@dataclass(frozen=True)
class CatchUpWindow:
    """How far the plan looks: days are caught up within `catch_up_days` of the last closed one."""

    last_closed: date
    first_prediction_date: date
    prediction_window_days: int
    catch_up_days: int

    @property
    def forecast_days(self) -> list[date]:
        """Days whose forecasts may still be made, the oldest first."""
        days = [self.last_closed - timedelta(days=back) for back in range(self.catch_up_days)]
        return [day for day in reversed(days) if day >= self.first_prediction_date]

    @property
    def scored_days(self) -> list[date]:
        """Days whose outcomes have matured within the time that is caught up."""
        window = timedelta(days=self.prediction_window_days)
        return [
            day - window for day in self.forecast_days if day - window >= self.first_prediction_date
        ]


def plan_days(
    store: FrameStore,
    members: Sequence[Member],
    decisions: Mapping[Member, pd.DataFrame],
    window: CatchUpWindow,
) -> DayPlan:
    """Find what is owed; reads the store and changes nothing.

    A day owes a forecast of each member that had a champion when its deadline passed, so a
    champion appointed later owes none for the days before.
    """
    symbols = list(dict.fromkeys(member.symbol for member in members))
    return DayPlan(
        behind=tuple(s for s in symbols if _is_behind(store, s, window.last_closed)),
        forecast={
            day: frozenset(missing)
            for day in window.forecast_days
            if (
                missing := _owed(members, decisions, day)
                - _present(store, "daily_predictions", day)
            )
        },
        score=days_to_score(store, window),
    )


def days_to_score(store: FrameStore, window: CatchUpWindow) -> tuple[date, ...]:
    """Days with forecasts that have matured and were not scored, the oldest first."""
    return tuple(day for day in window.scored_days if _owes_outcomes(store, day))


def _is_behind(store: FrameStore, symbol: str, last_closed: date) -> bool:
    latest = last_bar(store, symbol)
    return latest is None or latest < last_closed


def _owed(
    members: Sequence[Member], decisions: Mapping[Member, pd.DataFrame], day: date
) -> set[str]:
    deadline = deadline_of(day)
    return {
        member.name
        for member in members
        if member in decisions and serving_version(decisions[member], deadline) is not None
    }


def _owes_outcomes(store: FrameStore, day: date) -> bool:
    forecasts = _present(store, "daily_predictions", day)
    return bool(forecasts - _present(store, "prediction_outcomes", day))


def _present(store: FrameStore, table: str, day: date) -> set[str]:
    key = day.isoformat()
    if not store.exists(table, key):
        return set()
    rows = store.read(table, key)
    if rows.empty:
        return set()
    return {
        f"{symbol}_{trend}" for symbol, trend in zip(rows["symbol"], rows["trend"], strict=True)
    }
