"""Which decision threshold is chosen among those that keep both recalls."""

import numpy as np
import pytest

from crypto_pool.domain.evaluation import classification_metrics
from crypto_pool.domain.signal_threshold import choose_threshold

GRID = [number / 100 for number in range(40, 61)]


def judged(label, probability):
    return [classification_metrics(label, probability, threshold) for threshold in GRID]


def lower_recall(metrics):
    return min(metrics["positive_accuracy"] or 0.0, metrics["negative_accuracy"] or 0.0)


@pytest.mark.parametrize("seed", range(10))
def test_of_those_that_keep_both_recalls_the_best_score_among_its_neighbours_wins(seed):
    random = np.random.default_rng(seed)
    probability = np.clip(random.normal(0.42, 0.2, 300), 0, 1)
    label = (random.uniform(size=300) < probability).astype(int)
    found = judged(label, probability)
    scores = [metrics["overall_score"] for metrics in found]
    padded = [scores[0]] * 5 + scores + [scores[-1]] * 5
    smooth = [np.mean(padded[place : place + 11]) for place in range(21)]
    kept = [place for place in range(21) if lower_recall(found[place]) > 0.55]
    assert 0 < len(kept) < 21  # the rule of the recalls decides something
    best = max(kept, key=lambda place: smooth[place])
    assert choose_threshold(label, probability) == pytest.approx(GRID[best])


@pytest.mark.parametrize("seed", range(10))
def test_where_no_threshold_keeps_both_the_one_whose_lower_recall_is_highest_is_taken(seed):
    random = np.random.default_rng(seed)
    probability = np.clip(random.normal(0.3, 0.15, 400), 0, 1)
    label = (random.uniform(size=400) < 0.4).astype(int)
    lowest = [lower_recall(metrics) for metrics in judged(label, probability)]
    assert max(lowest) <= 0.55
    chosen = choose_threshold(label, probability)
    assert lowest[round(100 * chosen) - 40] == max(lowest)


def test_among_equal_thresholds_the_one_nearest_to_a_half_is_taken():
    assert choose_threshold(np.array([0, 1] * 50), np.array([0.1, 0.9] * 50)) == 0.5


def test_a_degenerate_threshold_is_never_chosen():
    low = np.linspace(0.0, 0.2, 100)
    assert choose_threshold(np.zeros(100), low) == 0.5  # nothing would be flagged
    assert choose_threshold(np.array([]), np.array([])) == 0.5
    few = np.concatenate([np.full(97, 0.4), np.full(3, 0.9)])
    assert choose_threshold((few > 0.5).astype(int), few) == 0.5  # 3 % or all flagged elsewhere
