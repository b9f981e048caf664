"""Above which probability a member signals."""

import numpy as np

from crypto_pool.domain.evaluation import OVERALL_SCORE_WEIGHTS

DEFAULT_THRESHOLD = 0.5
LOWEST, HIGHEST = 0.4, 0.6
STEP = 0.01
SMOOTHED_STEPS = 5
FLAGGED_SHARE = (0.05, 0.95)


def choose_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Choose the threshold of the best overall_score, averaged over its neighbours.

    Thresholds lie in [0.4, 0.6] and flag between 5 % and 95 % of the rows; where none
    does, it is 0.5. The average over five steps on either side keeps one lucky row
    from deciding; among equals the one nearest to 0.5 is taken.
    """
    if len(labels) == 0:
        return DEFAULT_THRESHOLD
    grid = np.round(np.arange(LOWEST, HIGHEST + STEP / 2, STEP), 4)
    flagged = np.asarray(probabilities)[None, :] > grid[:, None]
    share = flagged.mean(axis=1)
    allowed = (share >= FLAGGED_SHARE[0]) & (share <= FLAGGED_SHARE[1])
    if not allowed.any():
        return DEFAULT_THRESHOLD
    scores = np.pad(
        _overall_scores(np.asarray(labels, dtype=bool), flagged), SMOOTHED_STEPS, "edge"
    )
    width = 2 * SMOOTHED_STEPS + 1
    smooth = np.convolve(scores, np.full(width, 1 / width), mode="valid")
    best = np.round(np.where(allowed, smooth, -np.inf), 12)
    ties = np.flatnonzero(best == best.max())
    return float(grid[ties[np.argmin(np.abs(grid[ties] - DEFAULT_THRESHOLD))]])


def _overall_scores(positive: np.ndarray, flagged: np.ndarray) -> np.ndarray:
    """Give overall_score for each row of `flagged`, where what is undefined counts as 0."""
    hits = (flagged & positive).sum(axis=1)
    false_alarms = flagged.sum(axis=1) - hits
    positives = int(positive.sum())
    negatives = len(positive) - positives
    rejected = negatives - false_alarms
    parts = {
        "accuracy": (hits + rejected) / len(positive),
        "precision": hits / np.maximum(hits + false_alarms, 1),
        "negative_accuracy": rejected / max(negatives, 1),
        "positive_accuracy": hits / max(positives, 1),
    }
    return np.asarray(sum(OVERALL_SCORE_WEIGHTS[name] * part for name, part in parts.items()))
