"""Why a member's champion is stale, in words, and which stale members are trained first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import IntEnum

from crypto_pool.domain.members import Member
from crypto_pool.domain.performance import Performance, by_luck

# Skill this likely to be below the reference's without being so is worth a training, not a verdict.
DOUBT = 0.2


class Urgency(IntEnum):
    """What makes a member stale, the worst last."""

    ROWS = 1
    AGE = 2
    DRIFT = 3
    CODE = 4
    SKILL = 5
    SCHEMA = 6
    QUARANTINE = 7
    NO_CHAMPION = 8


@dataclass(frozen=True)
class RetrainRules:
    """Limits beyond which a member is stale, and how often stale members are trained."""

    retrain_after_days: int = 30
    retrain_after_rows: int = 60
    drift_limit: float = 0.5
    cooldown_days: int = 7
    daily_members: int = 40

    def next_training(self, trained_as_of: date | None, today: date, *, unserved: bool) -> date:
        """Return the bar date a member is due at, by age, rows, or because nobody speaks for it.

        `unserved` says that it has no champion, or a quarantined one. A labelled row is added
        each day; drift, skill, code and schema may make a member due earlier.
        """
        if trained_as_of is None:
            return today
        ages = min(self.retrain_after_days, self.retrain_after_rows)
        waits = self.cooldown_days if unserved else max(ages, self.cooldown_days)
        return max(trained_as_of + timedelta(days=waits), today)


@dataclass(frozen=True)
class MemberState:
    """What is known of a member on a day.

    Age, rows and code are those of its last training: a champion that met a challenger and
    stayed is not stale. `drift` is the share of latest inputs outside the training span, of
    the feature with most.
    """

    member: Member
    has_champion: bool
    trained_as_of: date | None = None
    new_labelled_rows: int = 0
    drift: float | None = None
    drifted_feature: str = ""
    performance: Performance | None = None
    quarantine: str = ""
    fault: str = ""
    code_changed: bool = False


@dataclass(frozen=True)
class Staleness:
    """A stale member with its reasons, the worst first."""

    member: Member
    reasons: Mapping[Urgency, str]

    @property
    def words(self) -> str:
        """All reasons in one line."""
        return self.because_of(Urgency)

    def because_of(self, urgencies: Iterable[Urgency]) -> str:
        """Those of its reasons that are of some kinds, in one line; empty if there are none."""
        kinds = set(urgencies)
        return "; ".join(words for kind, words in self.reasons.items() if kind in kinds)

    @property
    def rank(self) -> tuple[int, ...]:
        """Sorts the worst first, then whoever has more reasons."""
        # The 0 sorts behind every reason, so that fewer of them do.
        return (*(-urgency for urgency in self.reasons), 0)


@dataclass(frozen=True)
class TrainingPlan:
    """Whom to train now, worst first, and why others wait."""

    chosen: tuple[Staleness, ...]
    waiting: Mapping[Member, str] = field(default_factory=dict)


def judge_staleness(state: MemberState, today: date, rules: RetrainRules) -> Staleness | None:
    """Give the reasons why a member is stale on a day; None if it is fresh."""
    reasons: dict[Urgency, str] = {}
    if not state.has_champion:
        reasons[Urgency.NO_CHAMPION] = "no champion"
    if state.quarantine:
        reasons[Urgency.QUARANTINE] = f"quarantined: {state.quarantine}"
    if state.fault:
        reasons[Urgency.SCHEMA] = f"its champion cannot serve: {state.fault}"
    if (doubt := _doubt(state.performance)) is not None:
        reasons[Urgency.SKILL] = doubt
    if state.code_changed:
        reasons[Urgency.CODE] = "the code models are trained by has changed"
    if state.drift is not None and state.drift > rules.drift_limit:
        reasons[Urgency.DRIFT] = (
            f"{state.drift:.0%} of the latest {state.drifted_feature} lie outside what it was "
            f"trained on, {rules.drift_limit:.0%} is the limit"
        )
    if state.trained_as_of is not None:
        age = (today - state.trained_as_of).days
        if age >= rules.retrain_after_days:
            reasons[Urgency.AGE] = (
                f"trained {age} days ago, retrain_after_days is {rules.retrain_after_days}"
            )
    if state.new_labelled_rows >= rules.retrain_after_rows:
        reasons[Urgency.ROWS] = (
            f"{state.new_labelled_rows} labelled rows since its training, "
            f"{rules.retrain_after_rows} is the limit"
        )
    return Staleness(state.member, reasons) if reasons else None


def plan_training(
    stale: Iterable[Staleness],
    last_requested: Mapping[Member, date],
    requested_today: int,
    today: date,
    rules: RetrainRules,
) -> TrainingPlan:
    """Choose whom to train now: worst first, none twice within the cooldown, within the rules.

    `last_requested` is the day a member was last trained or asked to be.
    """
    chosen: list[Staleness] = []
    waiting: dict[Member, str] = {}
    for staleness in sorted(stale, key=lambda one: (one.rank, one.member)):
        member = staleness.member
        requested = last_requested.get(member)
        if requested is not None and (today - requested).days < rules.cooldown_days:
            waiting[member] = (
                f"trained or asked for on {requested}, {rules.cooldown_days} days must pass"
            )
        elif requested_today + len(chosen) >= rules.daily_members:
            waiting[member] = f"retrain_daily_members is {rules.daily_members}"
        else:
            chosen.append(staleness)
    return TrainingPlan(tuple(chosen), waiting)


def members_due(states: Iterable[MemberState], today: date, rules: RetrainRules) -> list[Member]:
    """Return whom to train on a day of which nobody was asked for yet, worst first."""
    known = list(states)
    judged = [judge_staleness(state, today, rules) for state in known]
    trained = {one.member: one.trained_as_of for one in known if one.trained_as_of}
    plan = plan_training([one for one in judged if one], trained, 0, today, rules)
    return [one.member for one in plan.chosen]


def _doubt(performance: Performance | None) -> str | None:
    if performance is None or performance.p_value is None or performance.p_value >= DOUBT:
        return None
    return (
        f"skill {performance.skill_over_reference.value or 0:+.3f} over the reference on "
        f"{performance.rows} live forecasts, by luck alone {by_luck(performance.p_value)}"
    )
