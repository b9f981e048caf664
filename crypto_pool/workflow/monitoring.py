"""What is known of each member on a day, as the rules of staleness ask for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.versions import Version
from crypto_pool.domain.drift import RECENT_ROWS, InputSpan, per_price
from crypto_pool.domain.market import Member
from crypto_pool.domain.performance import measure
from crypto_pool.domain.promotion import TRAININGS
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.review import record_of
from crypto_pool.domain.staleness import MemberState
from crypto_pool.domain.standing import Standing
from crypto_pool.workflow.code_version import code_version
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.promotion.reconciling import Champion, champion_of
from crypto_pool.workflow.reviewing import Outcomes
from crypto_pool.workflow.snapshots import load_snapshot


@dataclass(frozen=True)
class Observer:
    """Observes members with frames that are read once."""

    frames: FrameCache
    recipe: Recipe
    outcomes: Outcomes
    now: datetime

    @property
    def horizon(self) -> int:
        """Days until a label is known."""
        return self.recipe.horizon

    def observe(self, member: Member, serving: Champion, decisions: pd.DataFrame) -> MemberState:
        """Give the state of a member whose coin has features.

        Raises:
            MissingPartition: its coin has none, or its champion's training rows are gone.
        """
        champion = serving.version
        trained_as_of, trained_by = last_training(champion, decisions)
        features = self.frames.read("feature_table", member.symbol)
        drift, drifted = None, ""
        if champion is not None:
            bars = self.frames.read("daily_bars", member.symbol)
            drift, drifted = self._drift(champion, features, bars["close"])
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
            fault=serving.fault
            or (champion and self.recipe.terms(features.columns).difference(champion.tags))
            or "",
            code_changed=trained_by is not None and trained_by != code_version(),
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
) -> tuple[list[MemberState], dict[str, str]]:
    """Give the states of members, and by name why one cannot be observed."""
    outcomes = Outcomes.read(store, as_of, window_days)
    observer = Observer(FrameCache(store), recipe, outcomes, now)
    decisions = Ledger(store).by_member()
    states: list[MemberState] = []
    faults: dict[str, str] = {}
    for member in members:
        try:
            decided = decisions.of(member)
            champion = champion_of(registry, member, decided)
            states.append(observer.observe(member, champion, decided))
        except Exception as error:  # the boundary that isolates one member from the others
            faults[member.name] = f"cannot be observed: {type(error).__name__}: {error}"
    return states, faults


def last_training(
    champion: Version | None, decisions: pd.DataFrame
) -> tuple[date | None, str | None]:
    """Give the bar date of a member's last training and its code version, whoever won."""
    trained = decisions
    if not decisions.empty:
        trained = decisions[decisions["decision"].isin(TRAININGS)]
    if not trained.empty:
        latest = trained.iloc[-1]
        return latest["as_of"], str(latest["code_version"])
    if champion is None:
        return None, None
    return date.fromisoformat(champion.tags["as_of"]), champion.tags["code_version"]
