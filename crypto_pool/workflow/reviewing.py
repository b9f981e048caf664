"""Hold champions to what became of their forecasts: quarantine, or the previous version back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger, Promotion, quarantine_reason
from crypto_pool.adapters.model_records import ChampionRecord
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.domain.market import Member
from crypto_pool.domain.outcomes import (
    ReviewRules,
    live_outcomes,
    measure_realised,
    review_champion,
)
from crypto_pool.workflow.code_version import code_version
from crypto_pool.workflow.reverting import ServiceRecord, roll_back

EVERYBODY = "all"
_FRESH_STARTS = ("quarantined", "rolled back")


@dataclass(frozen=True)
class Outcomes:
    """Matured rows of the whole pool: what was served, and what was forecast in its shadow."""

    served: pd.DataFrame
    shadow: pd.DataFrame

    @classmethod
    def read(cls, store: FrameStore, through: date, window_days: int) -> "Outcomes":
        """Read the live rows of the last `window_days` days."""
        served, shadow = (
            live_outcomes(store.read_all(table), through, window_days)
            for table in ("prediction_outcomes", "shadow_outcomes")
        )
        return cls(served, shadow)

    def of(self, member: Member) -> "Outcomes":
        """Give one member's."""
        return Outcomes(_rows_of(self.served, member), _rows_of(self.shadow, member))

    def since(self, decisions: pd.DataFrame) -> "Outcomes":
        """Give what came after the last verdict: nobody is judged twice for the same rows."""
        if decisions.empty or self.served.empty:
            return self
        verdicts = decisions[decisions["decision"].isin(_FRESH_STARTS)]
        if verdicts.empty:
            return self
        last = pd.Timestamp(verdicts["as_of"].iloc[-1])
        is_later = pd.to_datetime(self.served["prediction_date"]) > last
        return Outcomes(self.served[is_later], self.shadow)


@dataclass(frozen=True)
class Reviewer:
    """Reviews members as of a day, and puts on record what follows."""

    store: FrameStore
    registry: ModelRegistry
    rules: ReviewRules
    as_of: date
    now: datetime
    dagster_run_id: str

    def review(
        self, member: Member, outcomes: Outcomes, decisions: pd.DataFrame
    ) -> dict[str, Any] | None:
        """Review one member; its row of realised_performance, or None if nobody serves.

        Raises:
            ModelUnavailable: the previous version is to return and does not load.
        """
        champion = self.registry.champion(member.name)
        if champion is None:
            return None
        previous = ServiceRecord.of(decisions).before(champion.version)
        found = outcomes.of(member).since(decisions)
        shadow = _rows_of_version(found.shadow, previous)
        review = review_champion(
            found.served, _rows_of_version(found.served, champion.version), shadow, self.rules
        )
        if review.action == "roll back":
            roll_back(self.store, self.registry, member, None, self.as_of, self.now, review.reason)
        elif review.action == "quarantine" and not quarantine_reason(decisions, self.now):
            self._quarantine(member, champion, review.reason)
        return self._row(member, champion.version, asdict(review.performance)) | {
            "action": review.action,
            "reason": review.reason,
        }

    def review_pool(self, outcomes: Outcomes) -> dict[str, Any]:
        """Give the row of realised_performance of all members together."""
        performance = measure_realised(outcomes.served, self.rules.horizon)
        return {
            **self._row(None, None, asdict(performance)),
            "action": None,
            "reason": None,
        }

    def _row(
        self, member: Member | None, version: str | None, figures: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {
            "as_of": self.as_of,
            "symbol": EVERYBODY if member is None else member.symbol,
            "trend": EVERYBODY if member is None else str(member.trend),
            "model_version": version,
            "window_days": self.rules.window_days,
            **figures,
        }

    def _quarantine(self, member: Member, champion: ChampionRecord, reason: str) -> None:
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
                champion_metrics={},
                challenger_metrics={},
                data_hash=champion.tags["data_hash"],
                code_version=code_version(),
                dagster_run_id=self.dagster_run_id,
                replaced_version=champion.version,
            )
        )


def _rows_of(outcomes: pd.DataFrame, member: Member) -> pd.DataFrame:
    if outcomes.empty:
        return outcomes
    mine = (outcomes["symbol"] == member.symbol) & (outcomes["trend"] == str(member.trend))
    return outcomes[mine]


def _rows_of_version(outcomes: pd.DataFrame, version: str | None) -> pd.DataFrame:
    if outcomes.empty or version is None:
        return outcomes.iloc[:0]
    return outcomes[outcomes["model_version"].astype(str) == version]
