"""Time-ordered folds whose label windows do not cross."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crypto_pool.domain.label_windows import FOLDS, purge_gap
from crypto_pool.errors import UnscoredCandidate


@dataclass(frozen=True)
class Fold:
    """Row positions: an estimator fitted on `train` is judged on `test`, all of it later."""

    number: int
    train: np.ndarray
    test: np.ndarray


def judged_rows(count: int, folds: int = FOLDS) -> slice:
    """Return which of so many rows are judged: those of all folds but the first."""
    return slice(count - (folds - 1) * (count // (folds + 1)), None)


def walk_forward_folds(
    index: pd.DatetimeIndex, horizon: int, folds: int = FOLDS
) -> tuple[Fold, ...]:
    """Split rows in time order into expanding training rows and the test rows after a gap.

    The gap is counted in rows, and a missing day only makes it longer in days. Raises
    UnscoredCandidate where there are too few rows.
    """
    from sklearn.model_selection import TimeSeriesSplit

    gap = purge_gap(horizon)
    splitter = TimeSeriesSplit(n_splits=folds, gap=gap)
    try:
        pairs = list(splitter.split(np.empty(len(index))))
    except ValueError as error:
        raise UnscoredCandidate(
            f"{len(index)} labelled rows are too few for {folds} time-ordered folds with a gap "
            f"of {gap} rows; train on more rows ({error})"
        ) from None
    return tuple(Fold(number, train, test) for number, (train, test) in enumerate(pairs, 1))


def purged_mask(index: pd.DatetimeIndex, first: pd.Timestamp, horizon: int) -> np.ndarray:
    """Say which rows have a label that was known, and shares no price, before bar date `first`."""
    return np.asarray(index + pd.Timedelta(days=purge_gap(horizon)) < first)
