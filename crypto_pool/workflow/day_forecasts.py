"""A day of forecasts: by whom each member is forecast, and how its rows join what is stored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain
from typing import Any

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Decisions, Ledger
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.version import Version, model_name
from crypto_pool.domain.columns import Table, is_missing
from crypto_pool.domain.features import feature_names
from crypto_pool.domain.members import Member
from crypto_pool.domain.moments import is_late
from crypto_pool.domain.performance import BASELINE
from crypto_pool.domain.recipe import Recipe, Terms
from crypto_pool.domain.tables import (
    MISSING_FORECASTS,
    OUTCOMES,
    PREDICTIONS,
    SHADOW_OUTCOMES,
    SHADOW_PREDICTIONS,
)
from crypto_pool.errors import MissingFeatures, MissingPartition, ModelUnavailable, UntrustedModel
from crypto_pool.workflow.baseline import Baseline
from crypto_pool.workflow.forecasting import (
    TOP_CONTRIBUTIONS,
    ServingVersion,
    choose_forecaster,
    forecast,
    score_predictions,
    was_trained_by,
)
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.promotion.reconciling import Champion, champions_of, shadows_of
from crypto_pool.workflow.pulling import last_bar

Row = Mapping[str, Any]
# Errors by which a version cannot serve, by name as failures have them.
MODEL_FAULTS = (ModelUnavailable.__name__, UntrustedModel.__name__)


@dataclass
class DayResult:
    """What became of a day: its rows, members without one and why, and members that failed."""

    made: list[Row] = field(default_factory=list)
    shadows: list[Row] = field(default_factory=list)
    kept: int = 0
    without_row: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DayForecaster:
    """Forecasts days for members; stored frames are read once, whatever the number of days.

    `shadows` are the versions that forecast beside each member's champion, `stamp` what every row
    carries besides, `contributions` how many of the largest it names; 0 explains nothing.
    """

    store: FrameStore
    registry: ModelRegistry
    members: Sequence[Member]
    champions: Mapping[Member, Champion]
    shadows: Mapping[Member, Sequence[Version]]
    decisions: Decisions
    terms: Terms
    now: datetime
    seed: int
    abstain_beyond_widths: float | None
    stamp: Row
    frames: FrameCache
    baseline: Baseline
    contributions: int = TOP_CONTRIBUTIONS

    @classmethod
    def of(
        cls,
        store: FrameStore,
        registry: ModelRegistry,
        members: Sequence[Member],
        recipe: Recipe,
        now: datetime,
        *,
        abstain_beyond_widths: float | None,
        stamp: Row,
        contributions: int = TOP_CONTRIBUTIONS,
        frames: FrameCache | None = None,
    ) -> "DayForecaster":
        """Read who serves, and in whose shadow; `recipe` is the pool's."""
        decisions, frames = Ledger(store).by_member(), frames or FrameCache(store)
        champions = champions_of(registry, decisions, members)
        return cls(
            store,
            registry,
            members,
            champions=champions,
            shadows={member: shadows_of(registry, one) for member, one in champions.items()},
            decisions=decisions,
            terms=recipe.terms(feature_names(recipe.time_period)),
            now=now,
            seed=recipe.seed,
            abstain_beyond_widths=abstain_beyond_widths,
            stamp=stamp,
            frames=frames,
            baseline=Baseline(frames, frames.panel(recipe.target), recipe.target, decisions),
            contributions=contributions,
        )

    def forecast_day(self, bar_date: date) -> DayResult:
        """Forecast a closed day and store it; what an earlier run stored is never lost.

        After the day's deadline what is missing is added, and late rows alone are replaced.

        Raises:
            MissingFeatures: somebody serves, and no member has a row, made now or before.
        """
        result = DayResult()
        serving = self._serving(bar_date, result)
        self._forecast(serving, bar_date, result.made, result)
        self._fall_back(serving, bar_date, result)
        served = {one.member: one.version.version for one in serving}
        shadows = [
            ServingVersion(member, version)
            for member, versions in self.shadows.items()
            for version in versions
            if version.version != served.get(member) and was_trained_by(version, bar_date)
        ]
        self._forecast(shadows, bar_date, result.shadows, result)
        result.kept = self._store(bar_date, result)
        if serving and not result.made and not result.kept:
            reasons = "; ".join([*result.without_row.values(), *result.failures.values()][:3])
            raise MissingFeatures(f"no forecast for {bar_date}: {reasons}")
        return result

    def _serving(self, bar_date: date, result: DayResult) -> list[ServingVersion]:
        late = is_late(self.now, bar_date)
        there = {_member_name(row) for row in self._stored(bar_date) if _is_in_time(row)}
        serving = []
        for member in self.members:
            if late and member.name in there:
                continue
            champion = self.champions[member]
            try:
                chosen = choose_forecaster(
                    self.registry, champion, self.decisions.of(member), bar_date, self.terms
                )
            except Exception as error:  # the boundary that isolates one member from the others
                result.failures[member.name] = champion.fault or f"{type(error).__name__}: {error}"
                continue
            if chosen is None and champion.fault:
                result.failures[member.name] = champion.fault
            elif chosen is None:
                result.without_row[member.name] = _why_nobody(member, champion.version, bar_date)
            else:
                serving.append(chosen)
        return serving

    def _stored(self, bar_date: date) -> list[Row]:
        return stored_rows(self.store, PREDICTIONS, bar_date.isoformat())

    def _forecast(
        self,
        forecasters: Iterable[ServingVersion],
        bar_date: date,
        rows: list[Row],
        result: DayResult,
    ) -> None:
        for one in forecasters:
            try:
                row = forecast(
                    self.frames,
                    self.registry,
                    one,
                    bar_date,
                    self.now,
                    self.seed,
                    self.abstain_beyond_widths,
                    self.baseline,
                    self.contributions,
                )
            except MissingFeatures as reason:
                result.without_row.setdefault(one.member.name, str(reason))
            except Exception as error:  # the boundary that isolates one member from the others
                result.failures.setdefault(one.member.name, f"{type(error).__name__}: {error}")
            else:
                rows.append({**row, **self.stamp})

    def _fall_back(
        self, serving: Iterable[ServingVersion], bar_date: date, result: DayResult
    ) -> None:
        """Forecast by the baseline, without a signal, where nobody serves or who does cannot.

        Where not even the reference exists the member stays without a row, and one that failed
        for another reason than its model is asked for again. Where a damaged ledger does not say
        who serves, the row that is stored stays.
        """
        serves = {one.member.name: one.version.version for one in serving}
        stored = {_member_name(row) for row in self._stored(bar_date)}
        lost = {one.member.name: one.fault for one in self.champions.values() if one.fault}
        faults = {
            name: why
            for name, why in result.failures.items()
            if why.startswith(MODEL_FAULTS) or name in lost
        }
        for name, why in {**result.without_row, **faults}.items():
            member = Member.parse(name)
            version = serves.get(name)
            if name in lost:
                version = self.champions[member].standing.serving
                if version is None and name in stored:
                    continue
            own: Row = {"status": BASELINE}
            if version is not None:
                own = {
                    "status": "abstain",
                    "abstain_reason": f"{why}; the probability is the baseline's",
                    "model_name": model_name(name),
                    "model_version": version,
                }
            try:
                row = self.baseline.row(member, bar_date, self.now, own)
            except (MissingFeatures, MissingPartition) as reason:
                if version is None:
                    result.without_row[name] = str(reason)
            except Exception as error:  # the boundary that isolates one member from the others
                result.failures[name] = f"{type(error).__name__}: {error}"
            else:
                result.without_row.pop(name, None)
                result.made.append({**row, **self.stamp})

    def _store(self, bar_date: date, result: DayResult) -> int:
        """Join the rows with the stored ones, alone on the day; return how many of those stay."""
        key = bar_date.isoformat()
        without = [self._missing(bar_date, *why) for why in result.without_row.items()]
        with self.store.lock(PREDICTIONS.store_name, key):
            kept, added = self._join(PREDICTIONS, key, result.made)
            day = [*kept, *added]
            self.store.write_rows(PREDICTIONS, key, day)
            for table, rows in ((SHADOW_PREDICTIONS, result.shadows), (MISSING_FORECASTS, without)):
                joined = chain(*self._join(table, key, rows))
                self.store.write_rows(table, key, _without(joined, day, table.key))
        return len(kept)

    def _join(self, table: Table, key: str, made: Sequence[Row]) -> tuple[list[Row], list[Row]]:
        return join_rows(stored_rows(self.store, table, key), made, table)

    def _missing(self, bar_date: date, name: str, reason: str) -> Row:
        member = Member.parse(name)
        last = last_bar(self.store, member.symbol)
        has_bar = last is not None and last >= bar_date
        own = {"prediction_date": bar_date, "reason": reason, "has_bar": has_bar}
        return MISSING_FORECASTS.row(own, vars(member))


def score_day(
    frames: FrameCache, day: str, now: datetime, panel: pd.DataFrame
) -> tuple[int, int, dict[str, str]]:
    """Score a day's forecasts and those in their shadow, and store what came of them.

    Returns how many were scored and how many are pending, and by coin why its bars cannot be
    read; what was scored of such a coin before stays.

    Raises:
        MissingPartition: there are no forecasts of that day.
    """
    store, faults = frames.store, dict[str, str]()
    with store.lock(PREDICTIONS.store_name, day):
        forecasts = store.read(PREDICTIONS.store_name, day)
        shadow = pd.DataFrame(stored_rows(store, SHADOW_PREDICTIONS, day))
        counts = []
        for frame, table in ((forecasts, OUTCOMES), (shadow, SHADOW_OUTCOMES)):
            rows, unread = score_predictions(frames, frame, now, panel)
            if unread:
                before = stored_rows(store, table, day)
                rows += [dict(row) for row in before if row["symbol"] in unread]
            store.write_rows(table, day, rows)
            counts.append(len(rows))
            faults |= unread
    return counts[0], len(forecasts) - counts[0], faults


def join_rows(
    stored: Iterable[Row], made: Iterable[Row], table: Table
) -> tuple[list[Row], list[Row]]:
    """Return the stored rows of a day that stay, and the rows made now that are taken.

    A row is never lost, whoever the pool still has, and one made in time is never replaced by
    a late one.
    """
    new = {table.key_of(row): row for row in made}
    kept = []
    for row in stored:
        other = new.get(table.key_of(row))
        if other is None or (_is_in_time(row) and not _is_in_time(other)):
            kept.append(row)
            new.pop(table.key_of(row), None)
    return kept, list(new.values())


def stored_rows(store: FrameStore, table: Table, key: str) -> list[Row]:
    """Return the stored rows of a partition, none if there is no such."""
    if not store.exists(table.store_name, key):
        return []
    rows = store.read(table.store_name, key).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _without(rows: Iterable[Row], others: Iterable[Row], key: Sequence[str]) -> list[Row]:
    known = {tuple(str(row[name]) for name in key) for row in others}
    return [row for row in rows if tuple(str(row[name]) for name in key) not in known]


def _member_name(row: Row) -> str:
    return f"{row['symbol']}_{row['trend']}"


def _is_in_time(row: Row) -> bool:
    late = row.get("late")
    return is_missing(late) or not late


def _why_nobody(member: Member, champion: Version | None, bar_date: date) -> str:
    if champion is None:
        return f"{member.name} has no champion"
    return (
        f"{member.name} had no champion on {bar_date}, and version {champion.version} was trained "
        f"on bars through {champion.tags['as_of']}: ask for that day or a later one"
    )
