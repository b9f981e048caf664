"""Champion against challenger: which of the two serves from now on, and why.

Both are judged on rows neither has seen. The challenger that was just trained has seen
them all, so its algorithm is fitted again on what the champion knew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd

from crypto_pool.domain.candidates import Candidate
from crypto_pool.domain.evaluation import Metric, Metrics, classification_metrics
from crypto_pool.domain.fitting import FittedCandidate, positive_probability
from crypto_pool.domain.policies import EvaluationPolicy
from crypto_pool.domain.recipe import DEFAULT_TARGET
from crypto_pool.domain.splits import purge_gap
from crypto_pool.domain.training import REFERENCE_LOGIT, TrainingTable, served_rows
from crypto_pool.errors import UnscoredCandidate

Decision = Literal[
    "promoted",
    "replaced",
    "refreshed",
    "kept",
    "rejected",
    "stood down",
    "rolled back",
    "quarantined",
    "expired",  # what releases before 1.1 wrote for a refreshed one
]
# After which of them a member was last trained, whoever won.
TRAININGS: tuple[Decision, ...] = (
    "promoted",
    "replaced",
    "refreshed",
    "kept",
    "rejected",
    "stood down",
    "expired",
)
# What ends a quarantine: another version serves, or a person has put one back.
APPOINTMENTS: tuple[Decision, ...] = (
    "promoted",
    "replaced",
    "refreshed",
    "rolled back",
    "expired",
)
PredictProbability = Callable[[pd.DataFrame], np.ndarray]


@dataclass(frozen=True)
class PromotionRules:
    """When a challenger takes over.

    `margin` is in Brier score. A champion expires `expires_after_days` after its
    trained_through; 60 lets a pool retrained every 60 days refresh each time, since at
    the next training its champion's labels end 60 + horizon days back.
    """

    margin: float = 0.005
    min_rows: int = 30
    expires_after_days: int = 60
    horizon: int = DEFAULT_TARGET.horizon


@dataclass(frozen=True)
class Incumbent:
    """The champion a challenger meets; `fault` says why it can serve no more, if so.

    `seen_through` is the bar date of the last row it was fitted or chosen on.
    """

    version: str
    trained_through: date
    seen_through: date
    decision_threshold: float
    fault: str = ""


@dataclass(frozen=True)
class Challenger:
    """The best candidate that passed the gates."""

    algorithm: str
    decision_threshold: float


@dataclass(frozen=True)
class Verdict:
    """What was decided; `replaces` says whether the challenger serves from now on."""

    decision: Decision
    reason: str
    champion_metrics: Metrics | None = None
    challenger_metrics: Metrics | None = None

    @property
    def replaces(self) -> bool:
        """Whether the challenger takes over."""
        return self.decision in ("promoted", "expired")


def decide(
    champion: Incumbent | None,
    challenger: Challenger | None,
    comparison: pd.DataFrame | None,
    as_of: date,
    rules: PromotionRules,
    incomparable: str = "",
) -> Verdict:
    """Decide between the champion and a challenger that passed the gates.

    `comparison` holds label, champion_probability and challenger_probability on rows
    neither has seen, as `compare` gives it; None where there are none, or where no comparison
    can be made, and `incomparable` says why. Why there is no challenger is the selection's to say.
    """
    if challenger is None:
        serving = "nobody serves" if champion is None else f"version {champion.version} stays"
        return Verdict("rejected", serving)
    if champion is None:
        return Verdict("promoted", f"{challenger.algorithm} passed the gates, and nobody served")
    if champion.fault:
        return Verdict(
            "promoted",
            f"{challenger.algorithm} replaces version {champion.version}, which cannot serve: "
            f"{champion.fault}",
        )
    ours = _metrics(comparison, "champion_probability", champion.decision_threshold)
    theirs = _metrics(comparison, "challenger_probability", challenger.decision_threshold)
    rows = 0 if comparison is None else len(comparison)
    gain = _brier_gain(ours, theirs)
    enough = rows >= rules.min_rows and gain is not None
    if incomparable:
        found = f"no comparison with it on rows that neither has seen: {incomparable}"
    elif not enough:
        found = f"{rows} rows that neither has seen, {rules.min_rows} are needed"
    else:
        found = (
            f"Brier score better by {gain:+.4f} on {rows} rows that neither has seen, "
            f"{rules.margin:g} is needed"
        )
    if enough and gain is not None and gain >= rules.margin:
        return Verdict(
            "promoted",
            f"{challenger.algorithm} beats version {champion.version}: {found}",
            ours,
            theirs,
        )
    age = (as_of - champion.trained_through).days
    if age >= rules.expires_after_days:
        return Verdict(
            "expired",
            f"version {champion.version} was trained through {champion.trained_through}, "
            f"{age} days ago, and expires after {rules.expires_after_days}; "
            f"{challenger.algorithm} takes over ({found})",
            ours,
            theirs,
        )
    return Verdict(
        "kept",
        f"version {champion.version} stays: {challenger.algorithm} has {found}",
        ours,
        theirs,
    )


def compare(
    table: TrainingTable,
    champion: Incumbent,
    champion_probability: PredictProbability,
    candidate: Candidate,
    policy: EvaluationPolicy,
) -> pd.DataFrame | None:
    """Let both forecast the rows neither has seen; None if there are none.

    The candidate is evaluated on the rows up to the champion's trained_through alone.

    Raises:
        UnscoredCandidate: those do not allow it.
    """
    index = table.index
    first_unseen = pd.Timestamp(champion.seen_through) + pd.Timedelta(
        days=purge_gap(policy.recipe.horizon)
    )
    unseen = np.asarray(index > first_unseen)
    known_then = np.asarray(index <= pd.Timestamp(champion.trained_through))
    if not unseen.any():
        return None
    if not known_then.any():
        raise UnscoredCandidate(
            f"{candidate.name}: the rows begin on {index[0]:%Y-%m-%d}, and version "
            f"{champion.version} was trained through {champion.trained_through}"
        )
    fitted = policy.evaluate(candidate, _rows(table, known_then))
    judged = _rows(table, unseen)
    rows = served_rows(judged)
    return pd.DataFrame(
        {
            "label": judged.labels,
            "champion_probability": champion_probability(rows),
            "challenger_probability": served_probability(candidate, fitted, rows),
        },
        index=judged.index,
    )


def served_probability(
    candidate: Candidate, fitted: FittedCandidate, rows: pd.DataFrame
) -> np.ndarray:
    """Give what a fitted candidate would serve for rows of the features and reference_logit."""
    own = positive_probability(candidate, fitted.estimator, rows.drop(columns=REFERENCE_LOGIT))
    return np.asarray(fitted.calibration.apply(own, rows[REFERENCE_LOGIT].to_numpy()))


def _rows(table: TrainingTable, chosen: np.ndarray) -> TrainingTable:
    return TrainingTable(
        table.features.loc[chosen], table.labels[chosen], table.reference_probability[chosen]
    )


def _metrics(comparison: pd.DataFrame | None, column: str, threshold: float) -> Metrics | None:
    if comparison is None or comparison.empty:
        return None
    return classification_metrics(
        comparison["label"].to_numpy(), comparison[column].to_numpy(), threshold
    )


def _brier_gain(ours: Metrics | None, theirs: Metrics | None) -> float | None:
    """Give by how much the challenger's Brier score is lower."""
    before: Metric = None if ours is None else ours["brier_score"]
    after: Metric = None if theirs is None else theirs["brier_score"]
    return None if before is None or after is None else float(before) - float(after)
