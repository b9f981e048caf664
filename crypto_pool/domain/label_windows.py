"""How many days a label reaches over, and how many days and rows are enough for what rests on it.

Arithmetic alone, so that settings are checked by it before any library is loaded.
"""

SMA_DAYS = 10
FOLDS = 5
MIN_BLOCKS = 5  # fewer separate label windows have no interval


def purge_gap(horizon: int) -> int:
    """Give the days between a row and the first later one that shares no price with its label.

    The label at t reads the 10-day averages at t and at t + horizon, so prices from
    t - 9 to t + horizon.
    """
    return horizon + SMA_DAYS


def rows_needed(horizon: int, folds: int = FOLDS) -> int:
    """Give the rows from which on folds of that number always leave rows to train on.

    The first fold's training rows and its gap lie in the first of `folds` + 1 equal parts.
    """
    return (folds + 1) * (purge_gap(horizon) + 1)


def review_days_needed(horizon: int) -> int:
    """Return the shortest window within which as many blocks as a verdict needs can mature."""
    return MIN_BLOCKS * purge_gap(horizon) + horizon
