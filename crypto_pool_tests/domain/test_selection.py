"""Who is chosen of the candidates by the classic recipe."""

import pandas as pd

from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.gates import Gates
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.selection import choose_champion

CLASSIC = Recipe(evaluation_policy="holdout")


def score(name: str, overall: float | None, recall: float = 0.8) -> TrainedCandidate:
    metrics = {
        "positive_accuracy": recall,
        "negative_accuracy": 0.8,
        "overall_score": overall,
    }
    day = pd.Timestamp("2021-01-01")
    return TrainedCandidate(name, 0.5, day, day, metrics, pd.DataFrame())


def test_the_best_that_passes_wins_and_the_rest_are_told_why():
    scores = [score("B", 0.7), score("A", 0.7), score("C", 0.9, recall=0.2), score("D", 0.65)]
    selection = choose_champion(scores, Gates(), CLASSIC)
    assert selection.winner is not None
    assert selection.winner.algorithm == "A"  # the tie goes by name
    assert selection.rejected == {"C": "recall 0.2, more than 0.5 is needed"}
    assert "best of 3" in selection.reason


def test_that_nobody_passes_is_a_result():
    scores = [score("A", None), score("B", 0.69, recall=0.412), score("C", 0.6)]
    selection = choose_champion(scores, Gates(), CLASSIC)
    assert selection.winner is None
    assert selection.reason == (
        "none of 3 candidates passed the gates "
        "(B, the best of them: recall 0.412, more than 0.5 is needed)"
    )
    assert set(selection.rejected) == {"A", "B", "C"}
    assert choose_champion([], Gates(), CLASSIC).winner is None
