"""Above which probability a member signals."""

import numpy as np

from crypto_pool.domain.evaluation import confusion_rates, overall_score

DEFAULT_THRESHOLD = 0.5
LOWEST, HIGHEST = 0.4, 0.6
STEP = 0.01
SMOOTHED_STEPS = 5
FLAGGED_SHARE = (0.05, 0.95)
# Well above the gates' 0.5, or passing them on later rows would be the flip of a coin.
RECALL_NEEDED = 0.55


def choose_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the threshold of the best smoothed overall_score that keeps both recalls.

    Thresholds lie in [0.4, 0.6] and flag between 5 % and 95 % of the rows. Of those with a
    recall of each class above 0.55 the score, averaged over five steps on either side, decides;
    where there are none, the one whose lower recall is highest. Among equals the one nearest to
    0.5 is taken. Where no threshold flags such a share there is nothing to tune, and it is 0.5,
    as without rows: of a few signals, or of all but a few, recalls would be a matter of luck.
    """
    if len(labels) == 0:
        return DEFAULT_THRESHOLD
    grid = np.round(np.arange(LOWEST, HIGHEST + STEP / 2, STEP), 4)
    flagged = np.asarray(probabilities)[None, :] > grid[:, None]
    share = flagged.mean(axis=1)
    allowed = (share >= FLAGGED_SHARE[0]) & (share <= FLAGGED_SHARE[1])
    if not allowed.any():
        return DEFAULT_THRESHOLD
    positive = np.asarray(labels, dtype=bool)
    hits = (flagged & positive).sum(axis=1)
    rates = confusion_rates(hits, flagged.sum(axis=1), positive.sum(), len(positive))
    recalls = np.nan_to_num([rates["positive_accuracy"], rates["negative_accuracy"]])
    lower_recall = recalls.min(axis=0)
    keeps_both = allowed & (lower_recall > RECALL_NEEDED)
    if keeps_both.any():
        worth = np.where(keeps_both, _smooth(overall_score(rates)), -np.inf)
    else:
        worth = np.where(allowed, lower_recall, -np.inf)
    best = np.round(worth, 12)
    ties = np.flatnonzero(best == best.max())
    return float(grid[ties[np.argmin(np.abs(grid[ties] - DEFAULT_THRESHOLD))]])


def _smooth(scores: np.ndarray) -> np.ndarray:
    width = 2 * SMOOTHED_STEPS + 1
    padded = np.pad(scores, SMOOTHED_STEPS, "edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")
