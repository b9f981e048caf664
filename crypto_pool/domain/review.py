"""Whether a champion goes on serving, by what came of its live forecasts.

A champion's record is its own: that of the version that serves and of those it refreshed. One
member's record alone decides; the pool's evidence enters nowhere, so that no member is condemned
for the others. The test is repeated every day. Its limit, in standard errors, falls with the root
of the days on record towards `LIMIT`, which spends the chance of a false alarm where the record
tells most, and is `WHOLE_LIMIT` from the second year on. What it finds and how often it is wrong,
on a walk of 4 % a day with noise in the logit, `python -m benchmarks honesty` prints.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd

from crypto_pool.domain.decisions import APPOINTMENTS
from crypto_pool.domain.label_windows import MIN_BLOCKS, purge_gap
from crypto_pool.domain.performance import Performance, by_luck, excess_p_value, weigh

Action = Literal["keep", "quarantine", "roll back"]
LIMIT = 2.45
# Of a record that fills the window, and is looked at on every day of each further year.
WHOLE_LIMIT = 2.8
_NEARLY_WHOLE_DAYS = 5
_KEY = ["prediction_date", "symbol", "trend"]
# Appointments after which a record goes on, if the algorithm is the same.
_RENEWALS = ("promoted", "refreshed", "expired")
_ENDS = ("quarantined", "stood down")
_RECORDED = ("decision", "serving_version", "algorithm", "as_of")


@dataclass(frozen=True)
class ReviewRules:
    """How long a record is."""

    horizon: int = 10
    window_days: int = 365

    def level(self, days: int) -> float:
        """Return the p-value below which a record that spans so many days condemns."""
        from scipy.special import ndtr

        whole = self.window_days - self.horizon
        if days > whole - _NEARLY_WHOLE_DAYS:
            return float(ndtr(-WHOLE_LIMIT))
        return float(ndtr(-LIMIT * np.sqrt(whole / max(1, days))))


@dataclass(frozen=True)
class Record:
    """The versions whose forecasts count for the one that serves, and after which bar date.

    `since` is set where a version served before a quarantine or a rollback too.
    """

    versions: frozenset[str] = frozenset()
    since: date | None = None

    def rows(self, outcomes: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a member that belong to the record."""
        if outcomes.empty:
            return outcomes
        mine = outcomes["model_version"].astype(str).isin(self.versions)
        if self.since is not None:
            mine &= pd.to_datetime(outcomes["prediction_date"]) > pd.Timestamp(self.since)
        return outcomes[mine]


@dataclass(frozen=True)
class Review:
    """What is to be done about a champion, why, and its record."""

    action: Action
    reason: str
    performance: Performance


def record_of(decisions: pd.DataFrame, serving: str) -> Record:
    """Return the record of the serving version by the decisions about its member, oldest first.

    It goes back over the versions that were refreshed: the same algorithm, with no fault,
    quarantine or rollback between.
    """
    versions: set[str] = set()
    algorithm, since = None, None
    columns = (decisions[name].tolist() for name in _RECORDED if name in decisions)
    for decision, number, name, as_of in zip(*columns, strict=True):
        version = str(number)
        if decision in APPOINTMENTS:
            if decision not in _RENEWALS or name != algorithm:
                versions = set()
                since = as_of if decision == "rolled back" else None
            versions.add(version)
            algorithm = name
        elif decision in _ENDS:
            versions, since = {version}, as_of
    return Record(frozenset(versions | {serving}), since)


def review_champion(record: pd.DataFrame, previous: pd.DataFrame, rules: ReviewRules) -> Review:
    """Decide whether a champion goes on serving, by the live rows of its record.

    `previous` are what the version before it forecast in its shadow.
    """
    performance = weigh(record, rules.horizon)
    gain = _previous_is_better(record, previous, rules)
    if gain is not None:
        return Review("roll back", gain, performance)
    p_value, skill = performance.p_value, performance.skill_over_reference.value
    windows = f"{performance.effective_sample_size:.1f} separate label windows"
    if p_value is None:
        return Review("keep", f"too few to tell: {windows}, {MIN_BLOCKS} needed", performance)
    level = rules.level(_span(record))
    evidence = (
        f"by luck alone one as good as the reference does this badly {by_luck(p_value)}, and only "
        f"what comes {by_luck(level)} condemns (Brier score {performance.brier_score.value:.4f} "
        f"against the reference's {performance.reference_brier_score:.4f} on {performance.rows} "
        f"live forecasts, {windows})"
    )
    if p_value < level and skill is not None and skill < 0:
        return Review("quarantine", f"worse than the reference: {evidence}", performance)
    return Review("keep", evidence, performance)


def _span(rows: pd.DataFrame) -> int:
    """Return the days from the first row to the last, both counted."""
    days = pd.to_datetime(rows["prediction_date"])
    return int((days.max() - days.min()).days) + 1


def _previous_is_better(
    record: pd.DataFrame, previous: pd.DataFrame, rules: ReviewRules
) -> str | None:
    """Say how far the previous version is ahead on the same days, if beyond chance."""
    fewest = MIN_BLOCKS * purge_gap(rules.horizon)
    if record.empty or previous.empty or min(_span(record), _span(previous)) < fewest:
        return None
    both = record.merge(previous[[*_KEY, "probability"]], on=_KEY, suffixes=("", "_previous"))
    if both.empty:
        return None
    outcome = both["outcome"].to_numpy(dtype=np.float64)
    ours, theirs = (
        (both[name].to_numpy(dtype=np.float64) - outcome) ** 2
        for name in ("probability", "probability_previous")
    )
    days = pd.DatetimeIndex(pd.to_datetime(both["prediction_date"]))
    p_value = excess_p_value(ours - theirs, days, purge_gap(rules.horizon))
    if p_value is None or p_value >= rules.level(_span(both)):
        return None
    return (
        f"the previous version does better in shadow: Brier score {theirs.mean():.4f} against "
        f"{ours.mean():.4f} on the same {len(both)} live days, as it comes by luck alone "
        f"{by_luck(p_value)}"
    )
