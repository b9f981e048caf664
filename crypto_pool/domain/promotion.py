"""Champion against challenger: which of the two serves from now on, and why.

Both are judged on rows neither has seen. The challenger that was just trained has seen
them all, so its algorithm is fitted again on what the champion knew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from crypto_pool.domain.candidates import Candidate
from crypto_pool.domain.decisions import REPLACING, Decision
from crypto_pool.domain.evaluation import Metrics, classification_metrics
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.intervals import Estimate, block_rows, paired_difference
from crypto_pool.domain.label_windows import purge_gap
from crypto_pool.domain.policies import evaluate
from crypto_pool.domain.recipe import DEFAULT_TARGET, Recipe
from crypto_pool.domain.served_model import ServedModel
from crypto_pool.domain.training import TrainingTable, served_rows
from crypto_pool.errors import UnscoredCandidate

PredictProbability = Callable[[pd.DataFrame], np.ndarray]


@dataclass(frozen=True)
class PromotionRules:
    """When a challenger takes over; losses are Brier scores.

    A champion is old `refresh_after_days` after the bar date of its training. An old one gives
    way to a challenger that is worse by less than `tolerance` at the worse end of the interval.
    """

    refresh_after_days: int = 30
    tolerance: float = 0.015
    rows_to_be_better: int = 150
    rows_to_refresh: int = 60
    horizon: int = DEFAULT_TARGET.horizon


@dataclass(frozen=True)
class Incumbent:
    """The champion a challenger meets; `fault` says why it can serve no more, if so.

    `trained_as_of` is the bar date of its training, `seen_through` that of the last row it was
    fitted or chosen on.
    """

    version: str
    trained_as_of: date
    trained_through: date
    seen_through: date
    decision_threshold: float
    fault: str = ""


@dataclass(frozen=True)
class PromotionDecision:
    """What was decided, why, and what the comparison on unseen rows found."""

    decision: Decision
    reason: str
    champion_metrics: Metrics | None = None
    challenger_metrics: Metrics | None = None

    @property
    def replaces(self) -> bool:
        """Whether the challenger serves from now on."""
        return self.decision in REPLACING


def decide(
    champion: Incumbent | None,
    challenger: TrainedCandidate | None,
    unseen: pd.DataFrame | None,
    as_of: date,
    rules: PromotionRules,
    *,
    out_of_fold: pd.DataFrame | None = None,
    incomparable: str = "",
) -> PromotionDecision:
    """Decide between the champion and the challenger of a training as of a bar date.

    Both frames hold label, champion_probability and challenger_probability by bar date:
    `unseen` on rows neither has seen, as `compare` gives it, `out_of_fold` those of the new
    training on which both algorithms were judged; None where there are none. Why the
    two could not meet is `incomparable`. Without a challenger an old or faulty champion stands
    down.
    """
    if champion is None:
        if challenger is None:
            return PromotionDecision("rejected", "nobody serves")
        return PromotionDecision(
            "promoted", f"{challenger.algorithm} passed the gates, and nobody served"
        )
    age = (as_of - champion.trained_as_of).days
    is_old = age >= rules.refresh_after_days
    aged = f"{age} days old (refresh_after_days is {rules.refresh_after_days})"
    serving = f"version {champion.version}"
    if challenger is None:
        if champion.fault:
            return PromotionDecision("stood down", f"{serving} cannot serve: {champion.fault}")
        if is_old:
            return PromotionDecision("stood down", f"{serving} stands down: it is {aged}")
        return PromotionDecision("rejected", f"{serving} stays: it is {aged}")
    name = challenger.algorithm
    if champion.fault:
        return PromotionDecision(
            "replaced", f"{name} replaces {serving}, which cannot serve: {champion.fault}"
        )
    metrics = (
        _metrics(unseen, "champion_probability", champion.decision_threshold),
        _metrics(unseen, "challenger_probability", challenger.decision_threshold),
    )
    rows = 0 if unseen is None else len(unseen)
    new = f"{rows} rows that neither has seen"
    evidence = (
        incomparable or f"the two met on {new}, {rules.rows_to_be_better} are needed to be better"
    )
    if unseen is not None and rows >= rules.rows_to_be_better:
        excess = _excess_loss(unseen, rules, student=True)
        evidence = f"{_difference(name, excess)} on {new}"
        if excess.high is not None and excess.high < 0:
            return PromotionDecision(
                "promoted", f"{name} is better than {serving}: {evidence}", *metrics
            )
    if not is_old:
        return PromotionDecision("kept", f"{serving} stays, {aged}: {evidence}", *metrics)
    judged, where = unseen, new
    if unseen is None or rows < rules.rows_to_refresh:
        judged = out_of_fold
        where = f"{0 if judged is None else len(judged)} out-of-fold rows of this training"
    if judged is None or judged.empty:
        return PromotionDecision(
            "refreshed",
            f"{name} takes over from {serving}, {aged}: too few rows compare them",
            *metrics,
        )
    excess = _excess_loss(judged, rules)
    evidence = f"{_difference(name, excess)} on {where}, and {rules.tolerance:g} is the limit"
    if excess.high is not None and excess.high >= rules.tolerance:
        return PromotionDecision(
            "kept", f"{serving} stays, {aged}: {name} may be worse, {evidence}", *metrics
        )
    return PromotionDecision(
        "refreshed", f"{name} takes over from {serving}, {aged}: {evidence}", *metrics
    )


def compare(
    table: TrainingTable,
    champion: Incumbent,
    champion_probability: PredictProbability,
    candidate: Candidate | None,
    recipe: Recipe,
) -> pd.DataFrame | None:
    """Let both forecast the rows neither has seen; None if there are none.

    The candidate is evaluated on the rows up to the champion's trained_through alone. The
    baseline, None, is not: its stored rows are its forecasts.

    Raises:
        UnscoredCandidate: those do not allow it.
    """
    index = table.index
    first_unseen = pd.Timestamp(champion.seen_through) + pd.Timedelta(
        days=purge_gap(recipe.horizon)
    )
    unseen = np.asarray(index > first_unseen)
    if not unseen.any():
        return None
    challenger = ServedModel.baseline(table.baseline, table.feature_names)
    if candidate is not None:
        challenger = _fit_as_of(candidate, table, champion, recipe)
    judged = table.rows(unseen)
    rows = served_rows(judged)
    return pd.DataFrame(
        {
            "label": judged.labels,
            "champion_probability": champion_probability(rows),
            "challenger_probability": challenger.predict_probability(rows),
        },
        index=judged.index,
    ).dropna()  # a day without the panel is none for who is anchored to it


def _fit_as_of(
    candidate: Candidate, table: TrainingTable, champion: Incumbent, recipe: Recipe
) -> ServedModel:
    """Fit a candidate on what the champion knew; raises UnscoredCandidate."""
    known_then = np.asarray(table.index <= pd.Timestamp(champion.trained_through))
    if not known_then.any():
        raise UnscoredCandidate(
            f"the rows begin on {table.index[0]:%Y-%m-%d}, and version "
            f"{champion.version} was trained through {champion.trained_through}"
        )
    return evaluate(candidate, table.rows(known_then), recipe).served


def _metrics(comparison: pd.DataFrame | None, column: str, threshold: float) -> Metrics | None:
    if comparison is None or comparison.empty:
        return None
    return classification_metrics(
        comparison["label"].to_numpy(), comparison[column].to_numpy(), threshold
    )


def _excess_loss(
    comparison: pd.DataFrame, rules: PromotionRules, *, student: bool = False
) -> Estimate:
    """Return by how much the challenger's Brier score is higher, with its 90 % interval."""
    label = comparison["label"]
    ours, theirs = (
        (comparison[f"{side}_probability"] - label) ** 2 for side in ("champion", "challenger")
    )
    return paired_difference(theirs - ours, block_rows(purge_gap(rules.horizon)), student=student)


def _difference(name: str, excess: Estimate) -> str:
    """Say in words how two Brier scores differ."""
    value = round(excess.value or 0.0, 4)
    words = f"{'higher' if value > 0 else 'lower'} by {abs(value):.4f}" if value else "the same"
    ends = ""
    if excess.low is not None:
        ends = f" (90 % interval of the difference {excess.low:+.4f} to {excess.high:+.4f})"
    return f"{name}'s Brier score is {words}{ends}"
