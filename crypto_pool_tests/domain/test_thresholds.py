import numpy as np
import pytest

from crypto_pool.domain.evaluation import classification_metrics
from crypto_pool.domain.thresholds import choose_threshold


@pytest.mark.parametrize("seed", range(10))
def test_the_threshold_has_the_best_score_averaged_over_its_neighbours(seed):
    random = np.random.default_rng(seed)
    probability = random.uniform(size=300)
    label = (random.uniform(size=300) < probability).astype(int)
    grid = [number / 100 for number in range(40, 61)]
    scores = [
        classification_metrics(label, probability, threshold)["overall_score"] for threshold in grid
    ]
    padded = [scores[0]] * 5 + scores + [scores[-1]] * 5
    smooth = [np.mean(padded[place : place + 11]) for place in range(21)]
    assert choose_threshold(label, probability) == pytest.approx(grid[int(np.argmax(smooth))])


def test_among_equal_thresholds_the_one_nearest_to_a_half_is_taken():
    assert choose_threshold(np.array([0, 1] * 50), np.array([0.1, 0.9] * 50)) == 0.5


def test_a_degenerate_threshold_is_never_chosen():
    low = np.linspace(0.0, 0.2, 100)
    assert choose_threshold(np.zeros(100), low) == 0.5  # nothing would be flagged
    assert choose_threshold(np.array([]), np.array([])) == 0.5
    few = np.concatenate([np.full(97, 0.4), np.full(3, 0.9)])
    assert choose_threshold((few > 0.5).astype(int), few) == 0.5  # 3 % or all flagged elsewhere
