"""What is known of each member on a day, as the rules of staleness ask for it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from crypto_pool.adapters.derived import Derived, digest
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.version import Version
from crypto_pool.domain.decisions import TRAININGS
from crypto_pool.domain.drift import RECENT_ROWS, InputSpan, per_price
from crypto_pool.domain.members import Member
from crypto_pool.domain.moments import naive_utc
from crypto_pool.domain.performance import measure
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.review import ReviewRules, record_of
from crypto_pool.domain.staleness import MemberState
from crypto_pool.domain.tables import OUTCOMES, PROMOTIONS
from crypto_pool.domain.who_serves import Standing
from crypto_pool.errors import ModelUnavailable
from crypto_pool.workflow.code_version import code_version, training_version
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.promotion.reconciling import Champion, champion_of, serving_versions
from crypto_pool.workflow.reviewing import Outcomes
from crypto_pool.workflow.snapshots import TABLE as SNAPSHOTS
from crypto_pool.workflow.snapshots import load_snapshot

STATE = TypeAdapter(MemberState)
# The domain's modules by which a member is observed.
RULES = ("drift", "performance", "review", "who_serves", "staleness")
OBSERVED_AT_ONCE = 200
"""Members of whom a tick, to which Dagster gives a minute, looks at all that is stored."""


@dataclass(frozen=True)
class Observer:
    """Observes members as of a bar date with frames that are read once."""

    frames: FrameCache
    recipe: Recipe
    outcomes: Outcomes
    as_of: date
    now: datetime

    @property
    def horizon(self) -> int:
        """Days until a label is known."""
        return self.recipe.horizon

    def observe(self, member: Member, serving: Champion, decisions: pd.DataFrame) -> MemberState:
        """Give the state of a member whose coin has features.

        Raises:
            MissingPartition: its coin has none.
        """
        champion = serving.version
        trained_as_of, trained_by = last_training(champion, decisions)
        features = self.frames.read("feature_table", member.symbol).loc[: pd.Timestamp(self.as_of)]
        drift, drifted, fault = None, "", serving.fault
        if champion is not None:
            bars = self.frames.read("daily_bars", member.symbol)
            fault = self.recipe.terms(features.columns).difference(champion.tags)
            try:
                drift, drifted = self._drift(champion, features, bars["close"])
            except ModelUnavailable as lost:
                fault = fault or str(lost)
        served = self.outcomes.of(member).served
        if champion is not None:
            served = record_of(decisions, champion.version).rows(served)
        return MemberState(
            member=member,
            has_champion=serving.standing.serving is not None,
            trained_as_of=trained_as_of,
            new_labelled_rows=self._new_rows(features, trained_as_of),
            drift=drift,
            drifted_feature=drifted,
            performance=measure(served, self.horizon),
            quarantine=Standing.of(decisions, self.now).quarantine,
            fault=fault,
            code_changed=trained_by is not None and trained_by != training_version(),
        )

    def _drift(
        self, champion: Version, features: pd.DataFrame, closes: pd.Series
    ) -> tuple[float, str]:
        trained = load_snapshot(self.frames.store, champion.tags["data_hash"]).features
        if list(trained.columns) != list(features.columns):
            return 0.0, ""  # another schema is its own reason
        recent = per_price(features.tail(RECENT_ROWS), closes)
        share = InputSpan.of(per_price(trained, closes)).share_outside(recent)
        return float(share.max()), str(share.idxmax())

    def _new_rows(self, features: pd.DataFrame, trained_as_of: date | None) -> int:
        if trained_as_of is None:
            return 0
        known = features.index.max() - timedelta(days=self.horizon)
        knew = pd.Timestamp(trained_as_of) - timedelta(days=self.horizon)
        return int(((features.index > knew) & (features.index <= known)).sum())


def observe_members(
    store: FrameStore,
    registry: ModelRegistry,
    members: Sequence[Member],
    recipe: Recipe,
    window_days: int,
    as_of: date,
    now: datetime,
    at_most: int | None = None,
) -> tuple[list[MemberState], dict[str, str]]:
    """Give the states of members, and by name why one cannot be observed.

    A state that nothing has touched since is as it was observed then. Of the others `at_most`
    so many are observed, if that is given, and the rest are in neither.
    """
    rules = code_version(*RULES), training_version()
    marks = _marks(store, members, [as_of, window_days, now.date(), recipe, rules])
    kept = Derived(store, "member_states")
    states = _unchanged(store, registry, kept.current(marks))
    missing = [member for member in members if member.name not in states]
    if not missing:
        return list(states.values()), {}
    decisions = Ledger(store).by_member()
    outcomes = Outcomes.read(store, decisions, as_of, ReviewRules(recipe.horizon, window_days))
    lasting: dict[str, Any] = {}
    faults: dict[str, str] = {}
    try:
        known, unanswered = serving_versions(registry, decisions), None
    except Exception as error:  # MLflow does not answer: who serves cannot be observed
        known, unanswered = {}, error
    for _, of_coin in groupby(missing, lambda member: member.symbol):
        observer = Observer(FrameCache(store), recipe, outcomes, as_of, now)
        for member in of_coin:
            if len(lasting) == at_most:
                break
            try:
                decided = decisions.of(member)
                if unanswered is not None:
                    raise unanswered
                champion = champion_of(registry, member, decided, known)
                states[member.name] = state = observer.observe(member, champion, decided)
            except Exception as error:  # the boundary that isolates one member from the others
                faults[member.name] = f"cannot be observed: {type(error).__name__}: {error}"
                continue
            later = len(decided) and decided["decided_at_utc"].max() > naive_utc(now)
            if not champion.fault and not later:
                lasting[member.name] = {
                    "state": STATE.dump_python(state, mode="json"),
                    "serving": champion.standing.serving,
                    "version": _mark_of(champion.version),
                    "data_hash": champion.version and champion.version.tags["data_hash"],
                }
    kept.keep(marks, lasting)
    return [states[member.name] for member in members if member.name in states], faults


def _marks(store: FrameStore, members: Sequence[Member], basis: Sequence[object]) -> dict[str, str]:
    """Return by member what tells all that its state is made of, but for what MLflow holds."""
    bars, features = store.marks("daily_bars"), store.marks("feature_table")
    decided: dict[str, list[str]] = defaultdict(list)
    for key, mark in sorted(store.marks(PROMOTIONS.store_name).items()):
        decided["|".join(key.split("|")[:2])] += [key, mark]
    shared = digest(basis, sorted(store.marks(OUTCOMES.store_name).items()))
    return {
        one.name: digest(
            shared, bars.get(one.symbol), features.get(one.symbol), decided[one.partition_key]
        )
        for one in members
    }


def _unchanged(
    store: FrameStore, registry: ModelRegistry, kept: Mapping[str, Any]
) -> dict[str, MemberState]:
    """Return the kept states whose champion is in MLflow, and its rows in the store, as then."""
    pairs = {name: (name, one["serving"]) for name, one in kept.items() if one["serving"]}
    try:
        there = registry.versions.get_all(pairs.values()) if pairs else {}
    except Exception:  # MLflow does not answer: those with a champion are asked for, and say so
        there = {}
    snapshots = set(store.keys(SNAPSHOTS))
    return {
        name: STATE.validate_python(one["state"])
        for name, one in kept.items()
        if name not in pairs
        or (one["version"] == _mark_of(there.get(pairs[name])) and one["data_hash"] in snapshots)
    }


def _mark_of(version: Version | None) -> str:
    if version is None:
        return ""
    return digest(version.run_id, version.location, sorted(version.tags.items()))


def last_training(
    champion: Version | None, decisions: pd.DataFrame
) -> tuple[date | None, str | None]:
    """Give the bar date of a member's last training and its code version, whoever won.

    An older day that is trained again later is not its last.
    """
    trained = decisions
    if not decisions.empty:
        trained = decisions[decisions["decision"].isin(TRAININGS)]
    if not trained.empty:
        latest = trained.sort_values("as_of", kind="stable").iloc[-1]
        return latest["as_of"], str(latest["code_version"])
    if champion is None:
        return None, None
    return date.fromisoformat(champion.tags["as_of"]), champion.tags["code_version"]
