"""Hold champions to what became of their forecasts: quarantine, or the previous version back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Decisions, Ledger, Promotion
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.version import Version
from crypto_pool.domain.members import Member
from crypto_pool.domain.performance import Performance, Verdict, count_luck, live_rows, measure
from crypto_pool.domain.review import ReviewRules, record_of, review_champion
from crypto_pool.domain.tables import (
    MEMBER,
    OUTCOMES,
    PREDICTIONS,
    REALISED_PERFORMANCE,
    SHADOW_OUTCOMES,
)
from crypto_pool.errors import ModelUnavailable, UntrustedModel
from crypto_pool.workflow.code_version import code_version
from crypto_pool.workflow.promotion.reconciling import champion_of
from crypto_pool.workflow.promotion.rolling_back import roll_back

EVERYBODY = "all"
_VERSION = [*MEMBER, "model_version"]
# What of a version's promise realised figures are set beside, by the ledger's names.
_PROMISES = {
    "promised_precision": "precision",
    "promised_recall": "positive_accuracy",
    "promised_brier_score": "brier_score",
    "promised_skill_over_reference": "skill_over_reference",
}


def day_reached(store: FrameStore, as_of: date, horizon: int) -> date:
    """Return a bar date, or the latest before it that forecasts and their outcomes have reached.

    A pool that lives on old files stands far behind the clock. A decision or a review as of a day
    after all it has would outlast what comes next.
    """
    ahead = {PREDICTIONS.store_name: timedelta(0), OUTCOMES.store_name: timedelta(days=horizon)}
    latest = {name: _latest_day(store, name) for name in ahead}
    reached = [day + ahead[name] for name, day in latest.items() if day is not None]
    return min(as_of, max(reached, default=as_of))


def _latest_day(store: FrameStore, name: str) -> date | None:
    """Return the latest day of a table that has a row: an attempt may have left a day without."""
    for key in reversed(store.keys(name)):
        if len(store.read_sound(name, keys=[key])[0]):
            return date.fromisoformat(key)
    return None


@dataclass(frozen=True)
class Outcomes:
    """Matured live rows of the whole pool: what was served, and what was forecast in its shadow."""

    served: pd.DataFrame
    shadow: pd.DataFrame
    faults: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls, store: FrameStore, decisions: Decisions, as_of: date, rules: ReviewRules
    ) -> "Outcomes":
        """Read the live rows of a review as of a day; `faults` says what is damaged."""
        promised = _promises(decisions)
        frames: list[pd.DataFrame] = []
        faults: dict[str, str] = {}
        for table in (OUTCOMES, SHADOW_OUTCOMES):
            rows, damaged = store.read_sound(table.store_name)
            if not rows.empty:
                rows = rows.assign(model_version=rows["model_version"].astype(str))
                rows = rows.merge(promised, on=_VERSION, how="left")
            frames.append(live_rows(rows, as_of, rules.window_days, rules.horizon))
            faults |= {f"{table.name} {key}": str(fault) for key, fault in damaged.items()}
        return cls(frames[0], frames[1], faults)

    def of(self, member: Member) -> "Outcomes":
        """Return one member's."""
        served, shadow = (
            parts.get((member.symbol, str(member.trend)), rows.iloc[:0])
            for parts, rows in zip(self._by_member, (self.served, self.shadow), strict=True)
        )
        return Outcomes(served, shadow)

    @cached_property
    def _by_member(self) -> list[dict[Any, pd.DataFrame]]:
        frames = self.served, self.shadow
        return [{} if one.empty else dict(iter(one.groupby(list(MEMBER)))) for one in frames]


@dataclass(frozen=True)
class Reviewer:
    """Reviews members as of a day, and puts on record what follows.

    Unless it `measures`, rows hold of a member's performance its champion's record alone.
    """

    store: FrameStore
    registry: ModelRegistry
    rules: ReviewRules
    as_of: date
    now: datetime
    dagster_run_id: str
    measures: bool = True

    def review(
        self,
        member: Member,
        outcomes: Outcomes,
        decisions: pd.DataFrame,
        known: Mapping[tuple[str, str], Version] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """Review one member; its row of realised_performance.

        Reviewed is who served by the decisions up to the day; where there are later ones nothing
        follows from it. Where the previous version is to return and does not load, the champion is
        quarantined. Versions that are `known` are not asked for again.
        """
        is_later = decisions.get("as_of", pd.Series(dtype=object)) > self.as_of
        decisions = decisions[~is_later]
        own = outcomes.of(member)
        performance = measure(own.served, self.rules.horizon) if self.measures else Performance()
        serving = champion_of(self.registry, member, decisions, known)
        champion, standing = serving.version, serving.standing
        if champion is None:
            return self._row(member, None, performance)
        record = record_of(decisions, champion.version).rows(own.served)
        review = review_champion(
            record, _rows_of_version(own.shadow, standing.previous), self.rules
        )
        action, reason = review.action, review.reason
        if action != "keep" and is_later.any():
            action, reason = "keep", f"{reason}; a later day has been decided on since"
        if action == "roll back":
            try:
                roll_back(self.store, self.registry, member, None, self.as_of, self.now, reason)
            except (ModelUnavailable, UntrustedModel) as fault:
                action, reason = "quarantine", f"{reason}, and cannot return: {fault}"
        if action == "quarantine" and not standing.quarantine:
            self._quarantine(member, champion, reason)
        return self._row(member, champion.version, performance) | {
            "record_rows": review.performance.rows,
            "record_skill": review.performance.skill_over_reference.value,
            "record_p_value": review.performance.p_value,
            "action": action,
            "reason": reason,
        }

    def review_pool(
        self, outcomes: Outcomes, members: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Return the row of all members together, with the luck in their verdicts in words."""
        luck = count_luck(Verdict(row["verdict"]) for row in members if row["rows"])
        performance = measure(outcomes.served, self.rules.horizon)
        return self._row(None, None, performance) | {"reason": luck.words}

    def _row(
        self, member: Member | None, version: str | None, performance: Performance
    ) -> dict[str, Any]:
        of = {"as_of": self.as_of, "window_days": self.rules.window_days, "model_version": version}
        whose = {name: EVERYBODY for name in MEMBER} if member is None else vars(member)
        return REALISED_PERFORMANCE.row(of, whose, performance.row())

    def _quarantine(self, member: Member, champion: Version, reason: str) -> None:
        Ledger(self.store).record(
            Promotion(
                decided_at_utc=self.now,
                as_of=self.as_of,
                member=member,
                model_version=champion.version,
                algorithm=champion.tags["classifier"],
                decision="quarantined",
                serving_version=champion.version,
                reason=reason,
                data_hash=champion.tags["data_hash"],
                code_version=code_version(),
                dagster_run_id=self.dagster_run_id,
            )
        )


def _promises(ledger: Mapping[Member, pd.DataFrame]) -> pd.DataFrame:
    """Return what each version promised when it was decided about, by the ledger."""
    rows = [
        {"symbol": member.symbol, "trend": str(member.trend), "model_version": str(version)}
        | {column: promised.get(column, promised.get(name)) for column, name in _PROMISES.items()}
        for member, decisions in ledger.items()
        for version, text in zip(
            decisions["model_version"], decisions["challenger_metrics"], strict=True
        )
        if (promised := json.loads(text or "{}").get("promised"))
    ]
    frame = pd.DataFrame(rows, columns=[*_VERSION, *_PROMISES])
    return frame.drop_duplicates(_VERSION, keep="last")


def _rows_of_version(outcomes: pd.DataFrame, version: str | None) -> pd.DataFrame:
    if outcomes.empty or version is None:
        return outcomes.iloc[:0]
    return outcomes[outcomes["model_version"].astype(str) == version]
