"""The life of one member: who serves on each day, and what it then forecasts.

A pure pass over the rounds that were played, by the rules of the live pool: the choice and the
gates, champion against challenger, the daily review with quarantine and rollback, the baseline
where nobody serves. A replayed forecast is never late, and inputs outside the training span are
not looked at: a round's forecasts are all that is known of a day.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from crypto_pool.domain.evaluation import Gates
from crypto_pool.domain.market import Member
from crypto_pool.domain.overfitting import CorrectedPromise, correct_promise
from crypto_pool.domain.performance import BASELINE
from crypto_pool.domain.policies import EvaluationPolicy
from crypto_pool.domain.promotion import APPOINTMENTS, Incumbent, PromotionRules, Verdict, decide
from crypto_pool.domain.review import Review, ReviewRules, record_of, review_champion
from crypto_pool.domain.selection import choose_champion
from crypto_pool.domain.served_model import BASELINES
from crypto_pool.domain.splits import purge_gap
from crypto_pool.replay.rounds import Contender

Row = dict[str, Any]


@dataclass(frozen=True)
class MemberLife:
    """What was decided about a member, and every forecast served, one row a day."""

    member: Member
    decisions: list[Row]
    forecasts: pd.DataFrame


def live(
    member: Member,
    rounds: Mapping[date, Mapping[str, Contender]],
    labels: pd.Series,
    policy: EvaluationPolicy,
    end: date,
    rules: PromotionRules,
    review_rules: ReviewRules | None = None,
) -> MemberLife:
    """Live through all rounds, in the order of their dates.

    `rounds` holds the scored candidates by training date, the baseline among them; `labels` the
    realised label by bar date, of which each decision sees only those known on its date.
    """
    reviewing = review_rules or ReviewRules(horizon=rules.horizon)
    service = _Service(member, labels, rules.horizon)
    dates = sorted(rounds)
    for as_of, until in zip(dates, [*dates[1:], end], strict=True):
        service.train(as_of, rounds, policy, rules)
        for day in pd.date_range(as_of, until, inclusive="right"):
            service.forecast(day, rounds[as_of])
            service.review(day, reviewing)
    rows = pd.DataFrame(service.rows)
    if not rows.empty:
        rows = rows.set_index(pd.DatetimeIndex(rows.pop("day"), name="date")).assign(
            symbol=member.symbol, trend=str(member.trend)
        )
        rows["label"] = labels.reindex(rows.index).to_numpy()
    return MemberLife(member, service.decisions, rows)


@dataclass
class _Service:
    """Who serves a member as the days go by."""

    member: Member
    labels: pd.Series
    horizon: int
    versions: dict[str, tuple[Contender, CorrectedPromise]] = field(default_factory=dict)
    serving: str | None = None
    quarantine: str = ""
    decisions: list[Row] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    @property
    def champion(self) -> Contender | None:
        """Whoever serves."""
        return None if self.serving is None else self.versions[self.serving][0]

    def train(
        self,
        as_of: date,
        rounds: Mapping[date, Mapping[str, Contender]],
        policy: EvaluationPolicy,
        rules: PromotionRules,
    ) -> None:
        """Choose among the candidates of a round, and let the winner meet the champion."""
        contenders, champion = rounds[as_of], self.champion
        selection = choose_champion(list(contenders.values()), Gates(), policy)
        winner = None if selection.winner is None else contenders[selection.winner.algorithm]
        incumbent = None
        if champion is not None and self.serving is not None:
            incumbent = replace(_incumbent(champion, self.serving), fault=self.quarantine)
        verdict = decide(
            incumbent,
            winner,
            self._unseen(champion, winner, rounds, as_of),
            as_of,
            rules,
            out_of_fold=_out_of_fold(champion, winner, contenders),
        )
        promise = None
        if verdict.decision == "stood down":
            self.serving, self.quarantine = None, ""
        elif winner is not None and verdict.replaces:
            evaluations = {name: one.evaluation for name, one in contenders.items()}
            promise = correct_promise(
                evaluations,
                winner.algorithm,
                baseline=_baseline(contenders),
                selection=policy.recipe.selection,
                horizon=self.horizon,
            )
            self.serving, self.quarantine = str(len(self.versions) + 1), ""
            self.versions[self.serving] = winner, promise
        verdict = Verdict(verdict.decision, f"{selection.reason}; {verdict.reason}")
        self._record(as_of, verdict, promise)

    def forecast(self, day: pd.Timestamp, contenders: Mapping[str, Contender]) -> None:
        """Forecast a day by whoever serves, or by the baseline."""
        champion, name = self.champion, _baseline(contenders)
        status = "active" if not self.quarantine else "abstain"
        promised: Row = {}
        if champion is None:
            champion, status = contenders.get(name or ""), BASELINE
        elif self.serving is not None:
            promised = self.versions[self.serving][1].figures
        if champion is None or day not in champion.forecasts.index:
            return
        if day < champion.seen_through + pd.Timedelta(days=self.horizon):
            return  # in sample
        told = champion.forecasts.loc[day]
        above = bool(told["probability"] > champion.decision_threshold)
        self.rows.append(
            {
                "day": day,
                **{str(name): value for name, value in told.items()},
                **promised,
                "algorithm": champion.algorithm,
                "version": self.serving,
                "status": status,
                "decision_threshold": champion.decision_threshold,
                "flagged": above and status == "active",
                "base_rate": champion.base_rate,
            }
        )

    def review(self, day: pd.Timestamp, rules: ReviewRules) -> None:
        """Hold whoever serves to the rows of its record whose outcome is known on a day."""
        champion = self.champion
        if champion is None or self.serving is None or self.quarantine:
            return
        ledger = pd.DataFrame(self.decisions)
        record = record_of(ledger, self.serving)
        first = day - pd.Timedelta(days=rules.window_days)
        last = day - pd.Timedelta(days=self.horizon)
        known = [
            {**row, "outcome": self.labels.get(row["day"], np.nan)}
            for row in self.rows
            if row["status"] == "active"
            and first < row["day"] <= last
            and row["version"] in record.versions
            and (record.since is None or row["day"] > pd.Timestamp(record.since))
        ]
        known = [row for row in known if not np.isnan(row["outcome"])]
        excess = sum(
            (row["probability"] - row["outcome"]) ** 2
            - (row["reference_probability"] - row["outcome"]) ** 2
            for row in known
        )
        if excess <= 0:  # as good as the reference: there is nothing to test
            return
        found = review_champion(self._outcomes(known), self._shadow(known), rules)
        self._act(found, day.date())

    def _act(self, review: Review, day: date) -> None:
        if review.action == "quarantine":
            self.quarantine = review.reason
            self._record(day, Verdict("quarantined", review.reason))
        elif review.action == "roll back":
            self.serving = self._previous()
            self._record(day, Verdict("rolled back", review.reason))

    def _previous(self) -> str | None:
        """Name the version that served before, unless a rollback has left it."""
        stays: list[str] = []
        for row in self.decisions:
            if row["decision"] in APPOINTMENTS:
                version = row["serving_version"]
                stays = stays[:-1] if row["decision"] == "rolled back" else stays
                stays = [*(other for other in stays if other != version), version]
        return stays[-2] if len(stays) > 1 else None

    def _outcomes(self, rows: list[Row]) -> pd.DataFrame:
        frame = pd.DataFrame(rows)
        return frame.assign(
            prediction_date=frame["day"],
            symbol=self.member.symbol,
            trend=str(self.member.trend),
            signal=frame["flagged"],
            model_version=frame["version"],
        )

    def _shadow(self, rows: list[Row]) -> pd.DataFrame:
        """Return what the version before would have said on the same days."""
        previous = self._previous()
        if previous is None:
            return pd.DataFrame()
        told = self.versions[previous][0].forecasts["probability"]
        mine = [row for row in rows if row["version"] == self.serving and row["day"] in told.index]
        shadow = self._outcomes(mine) if mine else pd.DataFrame()
        return shadow if shadow.empty else shadow.assign(probability=told[shadow["day"]].to_numpy())

    def _unseen(
        self,
        champion: Contender | None,
        winner: Contender | None,
        rounds: Mapping[date, Mapping[str, Contender]],
        as_of: date,
    ) -> pd.DataFrame | None:
        """Both algorithms, trained on what the champion knew, on rows neither has seen.

        The challenger's fit of the champion's own round stands for the refit of a live pool.
        """
        if champion is None or winner is None:
            return None
        then = rounds[champion.as_of].get(winner.algorithm)
        if then is None:
            return None
        first_unseen = champion.seen_through + pd.Timedelta(days=purge_gap(self.horizon))
        last_known = pd.Timestamp(as_of) - pd.Timedelta(days=self.horizon)
        index = pd.DatetimeIndex(champion.forecasts.index)
        rows = champion.forecasts.loc[(index > first_unseen) & (index <= last_known)]
        frame = pd.DataFrame(
            {
                "label": self.labels.reindex(rows.index),
                "champion_probability": rows["probability"],
                "challenger_probability": then.forecasts["probability"].reindex(rows.index),
            }
        ).dropna()
        return frame if len(frame) else None

    def _record(
        self, as_of: date, verdict: Verdict, promise: CorrectedPromise | None = None
    ) -> None:
        champion = self.champion
        name = None if champion is None else champion.algorithm
        self.decisions.append(
            {
                "as_of": as_of,
                "decision": verdict.decision,
                "reason": verdict.reason,
                "serving_version": self.serving,
                "algorithm": name,
                "promise": None if promise is None else asdict(promise),
            }
        )


def _baseline(contenders: Mapping[str, Contender]) -> str | None:
    return next((name for name in contenders if name in BASELINES), None)


def _incumbent(champion: Contender, version: str) -> Incumbent:
    return Incumbent(
        version=version,
        trained_as_of=champion.as_of,
        trained_through=champion.trained_through.date(),
        seen_through=champion.seen_through.date(),
        decision_threshold=champion.decision_threshold,
    )


def _out_of_fold(
    champion: Contender | None, winner: Contender | None, contenders: Mapping[str, Contender]
) -> pd.DataFrame | None:
    """Return the rows of a training on which both algorithms were judged."""
    ours = None if champion is None else contenders.get(champion.algorithm)
    if ours is None or winner is None:
        return None
    frame = ours.evaluation.rename(columns={"probability": "champion_probability"})
    theirs = winner.evaluation["probability"].reindex(frame.index)
    return frame.assign(challenger_probability=theirs).dropna(subset=["challenger_probability"])
