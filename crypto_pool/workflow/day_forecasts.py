"""A day of forecasts: by whom each member is forecast, and how its rows join what is stored."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, datetime
from functools import cached_property
from itertools import chain

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Decisions, Ledger
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.version import Version
from crypto_pool.domain.columns import Table
from crypto_pool.domain.features import feature_names
from crypto_pool.domain.members import Member
from crypto_pool.domain.moments import is_late
from crypto_pool.domain.performance import BASELINE
from crypto_pool.domain.recipe import Recipe, Terms
from crypto_pool.domain.tables import (
    MISSING_FORECASTS,
    PREDICTIONS,
    SHADOW_PREDICTIONS,
)
from crypto_pool.errors import MissingFeatures, MissingPartition, ModelUnavailable, UntrustedModel
from crypto_pool.workflow.baseline import Baseline
from crypto_pool.workflow.day_rows import Row, is_in_time, join_rows, stored_rows
from crypto_pool.workflow.forecasting import (
    TOP_CONTRIBUTIONS,
    ServingVersion,
    choose_forecaster,
    forecast,
    was_trained_by,
)
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.promotion.reconciling import Champion, champions_of, shadows_of
from crypto_pool.workflow.pulling import last_bar

# Errors by which a version cannot serve, by name as failures have them.
MODEL_FAULTS = (ModelUnavailable.__name__, UntrustedModel.__name__)


@dataclass
class DayResult:
    """What became of a day: its rows, members without one and why, and members that failed.

    `without_shadow` says of whom a version in the shadow could not forecast.
    """

    made: list[Row] = field(default_factory=list)
    shadows: list[Row] = field(default_factory=list)
    kept: int = 0
    without_row: dict[str, str] = field(default_factory=dict)
    without_shadow: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DayForecaster:
    """Forecasts days for members; what is stored is read once, whatever the number of days.

    `recipe` is the pool's, `now` says when a day is forecast, `stamp` what every row carries
    besides, `contributions` how many of the largest it names; 0 explains nothing.
    """

    store: FrameStore
    registry: ModelRegistry
    members: Sequence[Member]
    recipe: Recipe
    now: Callable[[date], datetime]
    _: KW_ONLY
    stamp: Row
    abstain_beyond_widths: float | None
    contributions: int = TOP_CONTRIBUTIONS
    frames: FrameCache

    @cached_property
    def decisions(self) -> Decisions:
        """The ledger, by which it is told who serves."""
        return Ledger(self.store).by_member()

    @cached_property
    def champions(self) -> Mapping[Member, Champion]:
        """Who serves each member."""
        return champions_of(self.registry, self.decisions, self.members)

    @cached_property
    def shadows(self) -> Mapping[Member, Sequence[Version]]:
        """The versions that forecast beside each member's champion."""
        return {member: shadows_of(self.registry, one) for member, one in self.champions.items()}

    @cached_property
    def baseline(self) -> Baseline:
        """What forecasts where nobody serves, or who does cannot."""
        target = self.recipe.target
        return Baseline(self.frames, self.frames.panel(target), target, self.decisions)

    @cached_property
    def terms(self) -> Terms:
        """What a version must take and forecast to speak."""
        return self.recipe.terms(feature_names(self.recipe.time_period))

    def forecast_day(self, bar_date: date) -> DayResult:
        """Forecast a closed day and store it; what an earlier run stored is never lost.

        After the day's deadline what is missing is added, and late rows alone are replaced. Where
        a version has spoken in time, one that cannot speak now replaces nothing.

        Raises:
            MissingFeatures: somebody serves, and no member has a row, made now or before.
        """
        result = DayResult()
        serving = self._serving(bar_date, result)
        self._forecast(serving, bar_date, result.made, result)
        self._fall_back(serving, bar_date, result)
        served = {one.member: one.version.version for one in serving}
        spoken = {
            (_member_name(row), row["model_version"])
            for row in self._spoken(SHADOW_PREDICTIONS, bar_date)
        }
        shadows = [
            ServingVersion(member, version, fault)
            for member, versions in self.shadows.items()
            for version in versions
            if version.version != served.get(member) and was_trained_by(version, bar_date)
            if not (fault := self.terms.fault(version.tags))
            or (member.name, version.version) not in spoken
        ]
        shadowed = DayResult()
        self._forecast(shadows, bar_date, result.shadows, shadowed)
        result.without_shadow = shadowed.without_row
        for name, why in shadowed.failures.items():
            lost = why.startswith(MODEL_FAULTS)  # who serves is not touched by it
            (result.without_shadow if lost else result.failures).setdefault(name, why)
        result.kept = self._store(bar_date, result)
        if serving and not result.made and not result.kept:
            reasons = "; ".join([*result.without_row.values(), *result.failures.values()][:3])
            raise MissingFeatures(f"no forecast for {bar_date}: {reasons}")
        return result

    def _serving(self, bar_date: date, result: DayResult) -> list[ServingVersion]:
        late = is_late(self.now(bar_date), bar_date)
        there = {_member_name(row) for row in self._stored(bar_date) if is_in_time(row)}
        spoken = {_member_name(row) for row in self._spoken(PREDICTIONS, bar_date)}
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
            elif member.name not in spoken or not self.terms.fault(chosen.version.tags):
                serving.append(chosen)
        return serving

    def _stored(self, bar_date: date) -> list[Row]:
        return stored_rows(self.store, PREDICTIONS, bar_date.isoformat())

    def _spoken(self, table: Table, bar_date: date) -> list[Row]:
        """Return the stored rows made in time by a version that did not abstain."""
        rows = stored_rows(self.store, table, bar_date.isoformat())
        return [row for row in rows if is_in_time(row) and row["status"] == "active"]

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
                    self.now(bar_date),
                    self.recipe.seed,
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
        who serves, the row that is stored stays, and everywhere one of a version that spoke.
        """
        serves = {one.member.name: one.version.version for one in serving}
        stored = {_member_name(row) for row in self._stored(bar_date)}
        spoken = {_member_name(row) for row in self._spoken(PREDICTIONS, bar_date)}
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
            if version is not None and name in spoken:
                result.without_row.pop(name, None)
                continue
            own: Row = {"status": BASELINE}
            if version is not None:
                own = {
                    "status": "abstain",
                    "abstain_reason": f"{why}; the probability is the baseline's",
                }
            try:
                row = self.baseline.row(member, bar_date, self.now(bar_date), own)
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
            for table, made in ((SHADOW_PREDICTIONS, result.shadows), (MISSING_FORECASTS, without)):
                forecast = set(map(table.key_of, day))
                joined = chain(*self._join(table, key, made))
                rows = [row for row in joined if table.key_of(row) not in forecast]
                self.store.write_rows(table, key, rows)
        return len(kept)

    def _join(self, table: Table, key: str, made: Sequence[Row]) -> tuple[list[Row], list[Row]]:
        return join_rows(stored_rows(self.store, table, key), made, table)

    def _missing(self, bar_date: date, name: str, reason: str) -> Row:
        member = Member.parse(name)
        last = last_bar(self.store, member.symbol)
        has_bar = last is not None and last >= bar_date
        if last is None:
            reason = f"{member.symbol} has no bars; `crypto-pool build` pulls them, or says why not"
        own = {"prediction_date": bar_date, "reason": reason, "has_bar": has_bar}
        return MISSING_FORECASTS.row(own, vars(member))


def _member_name(row: Row) -> str:
    return f"{row['symbol']}_{row['trend']}"


def _why_nobody(member: Member, champion: Version | None, bar_date: date) -> str:
    if champion is None:
        return f"{member.name} has no champion"
    return (
        f"{member.name} had no champion on {bar_date}, and version {champion.version} was trained "
        f"on bars through {champion.tags['as_of']}: ask for that day or a later one"
    )
