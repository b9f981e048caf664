"""Scores to probabilities, always learned on rows the scorer had not seen."""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit
from sklearn.utils.validation import check_is_fitted

from crypto_pool.errors import UnscoredCandidate

MIN_FOLDS = 2


class TimeOrderedCalibratedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Platt scaling of a decision function on time-ordered out-of-fold scores.

    Rows must come in time order. A fold trains on rows that end `gap` rows before its
    test rows begin; the scorer is then fitted once more on all rows. `fold_ends_` holds
    for each fold used (training end, test start, test end), as row positions with
    exclusive ends; `skipped_folds_` the same of the folds whose training rows hold one
    class.
    """

    def __init__(self, estimator: Any, n_splits: int = 5, gap: int = 20) -> None:
        self.estimator = estimator
        self.n_splits = n_splits
        self.gap = gap

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
        """Learn the scorer and the scale of its scores, of labels 0 and 1.

        Raises UnscoredCandidate for too few rows, if fewer than two folds remain, or if the rows
        scored hold one class.
        """
        labels = np.asarray(y)
        self.classes_ = np.unique(labels)
        self.fold_ends_: list[tuple[int, int, int]] = []
        self.skipped_folds_: list[tuple[int, int, int]] = []
        scores: list[np.ndarray] = []
        scored: list[np.ndarray] = []
        for train, test in self._splits(X):
            ends = (int(train[-1]) + 1, int(test[0]), int(test[-1]) + 1)
            if len(np.unique(labels[train])) < 2:
                self.skipped_folds_.append(ends)
                continue
            rows, later = (X.iloc[part].to_numpy() for part in (train, test))
            fold = clone(self.estimator).fit(rows, labels[train])  # each step would check names
            scores.append(fold.decision_function(later))
            scored.append(labels[test])
            self.fold_ends_.append(ends)
        if len(self.fold_ends_) < MIN_FOLDS:
            raise UnscoredCandidate(
                f"{len(self.fold_ends_)} of {self.n_splits} calibration folds have both classes "
                f"in training, at least {MIN_FOLDS} are needed; train on more rows"
            )
        targets = np.concatenate(scored)
        if len(np.unique(targets)) < 2:
            raise UnscoredCandidate(
                f"all {len(targets)} out-of-fold rows have label {targets[0]}: no scale of the "
                "scores can be learned; train on more rows"
            )
        self.platt_ = LogisticRegression().fit(np.concatenate(scores).reshape(-1, 1), targets)
        self.estimator_ = clone(self.estimator).fit(X, labels)
        return self

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The features seen in fit, as the base estimator remembers them."""
        return np.asarray(self.estimator_.feature_names_in_)

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Give calibrated probabilities of class 0 and class 1."""
        check_is_fitted(self, "platt_")
        scores = self.estimator_.decision_function(X)
        return np.asarray(self.platt_.predict_proba(scores.reshape(-1, 1)))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Give the more probable class."""
        return np.asarray(self.classes_[(self.predict_proba(X)[:, 1] > 0.5).astype(int)])

    def _splits(self, X: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
        try:
            return list(TimeSeriesSplit(n_splits=self.n_splits, gap=self.gap).split(X))
        except ValueError as error:
            raise UnscoredCandidate(
                f"{len(X)} rows are too few for {self.n_splits} time-ordered folds with a gap "
                f"of {self.gap} rows: {error}"
            ) from error
