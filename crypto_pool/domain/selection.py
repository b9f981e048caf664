"""Which candidate serves a member."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crypto_pool.domain.fitting import WEIGHT, TrainedCandidate
from crypto_pool.domain.gates import Gates
from crypto_pool.domain.intervals import block_rows
from crypto_pool.domain.label_windows import MIN_BLOCKS, purge_gap
from crypto_pool.domain.overfitting import (
    CorrectedPromise,
    correct_promise,
    gain_test,
    losses_on_shared_dates,
)
from crypto_pool.domain.recipe import DEFAULT_TARGET, Recipe, SelectionName
from crypto_pool.domain.served_model import BASELINES


@dataclass(frozen=True)
class Selection:
    """The winner, or None, with the reason; `rejected` says which gates the others failed."""

    winner: TrainedCandidate | None
    reason: str
    rejected: dict[str, str]


def choose_champion(
    candidates: Sequence[TrainedCandidate], gates: Gates, recipe: Recipe
) -> Selection:
    """Choose the winner of a training, and hold it to the gates.

    Where the baseline is among the candidates it is `choose_winner`'s; else, as in the classic
    recipe, the candidate of the best overall_score that passes, ties going by name. That nobody
    passes is a result, with `winner` None, and no error; the reason then says what was lacking.
    """
    failures = {one.algorithm: gates.failures(one.metrics) for one in candidates}
    rejected = {name: "; ".join(failed) for name, failed in failures.items() if failed}
    by_name = {one.algorithm: one for one in candidates}
    baseline = next((name for name in by_name if name in BASELINES), None)
    if not by_name:
        return Selection(None, "no candidate was scored", rejected)
    if baseline is not None:
        name, reason = winner_of(by_name, baseline, recipe)
        if name in rejected:
            return Selection(None, f"{reason}; it fails the gates: {rejected[name]}", rejected)
        return Selection(by_name[name], f"{reason}; it passes the gates", rejected)
    ranked = sorted(candidates, key=lambda one: (-_overall_score(one), one.algorithm))
    passed = [one for one in ranked if one.algorithm not in rejected]
    if not passed:
        best = ranked[0].algorithm
        return Selection(
            None,
            f"none of {len(candidates)} candidates passed the gates "
            f"({best}, the best of them: {rejected[best]})",
            rejected,
        )
    return Selection(
        passed[0],
        f"{passed[0].algorithm} is the best of {len(passed)} that passed the gates, "
        f"of {len(candidates)} scored (policy {recipe.evaluation_policy})",
        rejected,
    )


def _overall_score(candidate: TrainedCandidate) -> float:
    score = candidate.metrics["overall_score"]
    return float("-inf") if score is None else float(score)


def winner_of(
    candidates: Mapping[str, TrainedCandidate], baseline: str, recipe: Recipe
) -> tuple[str, str]:
    """Return who wins a training by the recipe's selection, gates left aside, and why in words."""
    return choose_winner(
        _compared(candidates, baseline, recipe),
        baseline,
        recipe.selection,
        recipe.horizon,
        weightless=[name for name, one in candidates.items() if one.metrics.get(WEIGHT) == 0],
    )


def promise_of(
    candidates: Mapping[str, TrainedCandidate], winner: str, recipe: Recipe
) -> CorrectedPromise:
    """Return what the winner of a training promises, charged for its choice among all of them."""
    baseline = next((name for name in candidates if name in BASELINES), None)
    return correct_promise(
        _compared(candidates, baseline, recipe),
        winner,
        baseline=baseline,
        selection=recipe.selection,
        horizon=recipe.horizon,
        serves_at=candidates[winner].decision_threshold,
    )


def _compared(
    candidates: Mapping[str, TrainedCandidate], baseline: str | None, recipe: Recipe
) -> dict[str, pd.DataFrame]:
    """Return the evaluation frames that a choice rests on.

    One standard error tells nothing of a candidate that was judged on fewer than five blocks of
    the baseline's rows. It takes no part, or all were compared on its few rows alone.
    """
    frames = {name: one.evaluation for name, one in candidates.items()}
    if baseline is None or recipe.selection != "one_standard_error":
        return frames
    known, needed = frames[baseline].index, _rows_needed(recipe.horizon)
    return {
        name: frame
        for name, frame in frames.items()
        if name == baseline or len(known.intersection(frame.index)) >= needed
    }


def _rows_needed(horizon: int) -> int:
    return MIN_BLOCKS * block_rows(purge_gap(horizon))


def choose_winner(
    evaluations: Mapping[str, pd.DataFrame],
    baseline: str,
    selection: SelectionName,
    horizon: int = DEFAULT_TARGET.horizon,
    *,
    weightless: Collection[str] = (),
) -> tuple[str, str]:
    """Return who wins a training, gates left aside, and why in words.

    `evaluations` holds the evaluation frame of each candidate and of the baseline, which are
    compared on the bar dates they share. By one standard error a candidate wins whose Brier loss
    is lower than the baseline's by more than the test of the best of them asks; of those the
    lowest loss. Without any, among equals, and on fewer than five blocks of rows, whose standard
    error tells nothing, the baseline wins. A `weightless` candidate, whose calibration gives it no
    weight, never does.
    """
    losses = losses_on_shared_dates(evaluations)
    names = sorted(set(evaluations) - {baseline})
    if not names or losses.empty:
        return baseline, f"{baseline} stands alone: no candidate was judged on enough of its rows"
    by_error, needed = selection == "one_standard_error", _rows_needed(horizon)
    if by_error and len(losses) < needed:
        return baseline, f"{baseline} wins: {len(losses)} rows compare all, {needed} are needed"
    gains = losses[[baseline]].to_numpy() - losses[names].to_numpy()
    test = gain_test(gains, block_rows(purge_gap(horizon)))
    limit = test.needed if by_error else np.zeros(len(names))
    weighs = np.array([name not in weightless for name in names])
    allowed = np.flatnonzero((test.gain > limit) & weighs)
    best = int(max(allowed if len(allowed) else range(len(names)), key=test.gain.__getitem__))
    evidence = (
        f"Brier loss lower by {test.gain[best]:.4f}" if test.gain[best] > 0 else "no lower loss"
    )
    if by_error:
        evidence += f", {limit[best]:.4f} is needed ({test.critical:.2f} standard errors)"
    evidence += f", on {len(losses)} rows"
    if not len(allowed):
        return baseline, f"{baseline} wins: {names[best]}, the best of {len(names)}, has {evidence}"
    return names[best], f"{names[best]} is the best of {len(allowed)} above {baseline}: {evidence}"
