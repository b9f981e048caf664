"""Which candidate serves a member."""

from collections.abc import Sequence
from dataclasses import dataclass

from crypto_pool.domain.evaluation import Gates
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.policies import EvaluationPolicy


@dataclass(frozen=True)
class Selection:
    """The winner, or None, with the reason; `rejected` says which gates the others failed."""

    winner: TrainedCandidate | None
    reason: str
    rejected: dict[str, str]


def choose_champion(
    scores: Sequence[TrainedCandidate], gates: Gates, policy: EvaluationPolicy
) -> Selection:
    """Choose the best-ranked candidate that passes the gates; ties go by name.

    That none passes is a result, with `winner` None, and no error; the reason then says what the
    best-ranked one lacks.
    """
    failures = {score.algorithm: gates.failures(score.metrics) for score in scores}
    rejected = {name: "; ".join(failed) for name, failed in failures.items() if failed}
    ranked = sorted(scores, key=lambda score: (-policy.rank(score.metrics), score.algorithm))
    passed = [score for score in ranked if score.algorithm not in rejected]
    if not ranked:
        return Selection(None, "no candidate was scored", rejected)
    if not passed:
        best = ranked[0].algorithm
        return Selection(
            None,
            f"none of {len(scores)} candidates passed the gates "
            f"({best}, the best of them: {rejected[best]})",
            rejected,
        )
    winner = passed[0]
    return Selection(
        winner,
        f"{winner.algorithm} is the best of {len(passed)} that passed the gates, "
        f"of {len(scores)} scored (policy {policy.name})",
        rejected,
    )
