"""What the pool still owes: bars that are behind, days without forecasts, days to be scored."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.columns import Table
from crypto_pool.domain.features import DAYS_AFTER_GAP
from crypto_pool.domain.members import Member
from crypto_pool.domain.recipe import LONGEST_HORIZON
from crypto_pool.domain.tables import MISSING_FORECASTS, OUTCOMES, PREDICTIONS
from crypto_pool.errors import CorruptPartition
from crypto_pool.workflow.day_forecasts import MODEL_FAULTS
from crypto_pool.workflow.history import name_gap
from crypto_pool.workflow.pulling import bar_spans

STAND_IN = ["symbol", "trend", "status", "decision_threshold", "abstain_reason"]


@dataclass(frozen=True)
class DayPlan:
    """Coins to pull, bar dates to forecast by member, and to score; the oldest first."""

    behind: tuple[str, ...]
    forecast: Mapping[date, frozenset[str]]
    score: tuple[date, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is pending."""
        return not (self.behind or self.forecast or self.score)


@dataclass(frozen=True)
class CatchUpWindow:
    """How far the plan looks: days are caught up within `catch_up_days` of the last closed one."""

    last_closed: date
    first_prediction_date: date
    catch_up_days: int = 30

    @property
    def forecast_days(self) -> list[date]:
        """Days whose forecasts may still be made, the oldest first."""
        return self._last_days(self.catch_up_days)

    @property
    def scored_days(self) -> list[date]:
        """Days whose forecasts may have matured within the time that is caught up.

        A row has the horizon it was made with, which the setting may have left.
        """
        return self._last_days(self.catch_up_days + LONGEST_HORIZON)

    @property
    def all_days(self) -> list[date]:
        """Days from the first of the daily partitions on, the oldest first."""
        return list(pd.date_range(self.first_prediction_date, self.last_closed).date)

    def matures(self, bar_date: date, horizon: int, *, is_new: bool = False) -> bool:
        """Whether a forecast matured within the time that is caught up; a new one whenever."""
        age = (self.last_closed - bar_date).days - horizon
        return age >= 0 and (is_new or age < self.catch_up_days)

    def _last_days(self, count: int) -> list[date]:
        first = max(self.first_prediction_date, self.last_closed - timedelta(days=count - 1))
        return list(pd.date_range(first, self.last_closed).date)


def plan_days(store: FrameStore, members: Sequence[Member], window: CatchUpWindow) -> DayPlan:
    """Find what is pending; reads the store and changes nothing.

    A day owes a forecast of each member, from the pool's first forecast on. The last, whose rows
    can still be replaced, owes one by who serves where the features that were missing have come.
    A coin is behind whose bars are, or whose features, for want of which the baseline stood in.
    """
    symbols = list(dict.fromkeys(member.symbol for member in members))
    spans = bar_spans(store, symbols)
    begun = min(store.keys(PREDICTIONS.store_name), default=window.last_closed.isoformat())
    pending = {
        day: frozenset({member.name for member in members} - settled_members(store, day))
        for day in window.forecast_days
        if day.isoformat() >= begun
    }
    current = {symbol for symbol in spans if spans[symbol].last >= window.last_closed}
    stood_in = _stood_in_for(store, window.last_closed)
    come = {s for s in stood_in["symbol"].unique() if _has_features(store, s, window.last_closed)}
    if window.last_closed in pending:
        known = {member.name for member in members}
        pending[window.last_closed] |= known & _names(stood_in[stood_in["symbol"].isin(come)])
    to_come = {
        symbol
        for symbol in current.intersection(stood_in["symbol"]) - come
        if not name_gap(store.read("daily_bars", symbol), window.last_closed, DAYS_AFTER_GAP, "")
    }
    return DayPlan(
        behind=tuple(symbol for symbol in symbols if symbol not in current - to_come),
        forecast={day: missing for day, missing in pending.items() if missing},
        score=days_to_score(store, window),
    )


def days_to_score(store: FrameStore, window: CatchUpWindow) -> tuple[date, ...]:
    """Days with forecasts that have matured and were not scored, the oldest first.

    Those since the last day that was scored, however long the pool stood still, and of the days
    before what was left within the time that is caught up.
    """
    stored, recent = set(store.keys(PREDICTIONS.store_name)), set(window.scored_days)
    last = max(stored.intersection(store.keys(OUTCOMES.store_name)), default="")
    return tuple(
        day
        for day in window.all_days
        if (key := day.isoformat()) in stored
        and (key > last or day in recent)
        and _has_unscored_outcomes(store, day, window, is_new=key > last)
    )


def _has_unscored_outcomes(
    store: FrameStore, day: date, window: CatchUpWindow, *, is_new: bool
) -> bool:
    forecasts = _rows(store, PREDICTIONS, day)
    if forecasts.empty:
        return False
    horizons = forecasts["prediction_window_days"]
    matured = [window.matures(day, horizon, is_new=is_new) for horizon in horizons]
    return bool(_names(forecasts[matured]) - _names(_rows(store, OUTCOMES, day)))


def settled_members(store: FrameStore, day: date) -> set[str]:
    """Return members with a forecast of a day, or a reason that asking again does not change."""
    missing = _rows(store, MISSING_FORECASTS, day)
    settled = missing if missing.empty else missing[missing["has_bar"].astype(bool)]
    return _names(_rows(store, PREDICTIONS, day)) | _names(settled)


def _stood_in_for(store: FrameStore, day: date) -> pd.DataFrame:
    """Return the rows in which the baseline stood in for who serves.

    Not those whose model cannot be had: asking again does not mend it.
    """
    rows = _rows(store, PREDICTIONS, day).reindex(columns=STAND_IN)
    rows = rows[(rows["status"] == "abstain") & rows["decision_threshold"].isna()]
    return rows[~rows["abstain_reason"].astype(str).str.startswith(MODEL_FAULTS)]


def _has_features(store: FrameStore, symbol: str, day: date) -> bool:
    with suppress(CorruptPartition):
        features = store.find("feature_table", symbol)
        return features is not None and pd.Timestamp(day) in features.index
    return False


def _rows(store: FrameStore, table: Table, day: date) -> pd.DataFrame:
    """Return a day's rows; a damaged file has none, so that it is made again or named."""
    return store.read_sound(table.store_name, keys=[day.isoformat()])[0]


def _names(rows: pd.DataFrame) -> set[str]:
    return set() if rows.empty else set(rows["symbol"] + "_" + rows["trend"])
