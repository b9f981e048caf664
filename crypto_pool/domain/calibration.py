"""Scores to probabilities, always learned on rows the scorer had not seen."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Protocol, Self, cast

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit
from sklearn.utils.validation import check_is_fitted

from crypto_pool.domain.reference import logit
from crypto_pool.errors import UnscoredCandidate, UntrustedModel

MIN_FOLDS = 2


class TimeOrderedCalibratedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Platt scaling of a decision function on time-ordered out-of-fold scores.

    Rows must come in time order. A fold trains on rows that end `gap` rows before its
    test rows begin; the scorer is then fitted once more on all rows. `fold_ends_` holds
    for each fold used (training end, test start, test end), as row positions with
    exclusive ends; `skipped_folds_` the same of the folds whose training rows hold one
    class. Raises UnscoredCandidate if fewer than two folds remain.
    """

    def __init__(self, estimator: Any, n_splits: int = 5, gap: int = 20) -> None:
        self.estimator = estimator
        self.n_splits = n_splits
        self.gap = gap

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
        """Learn the scorer and the scale of its scores."""
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
            fold = clone(self.estimator).fit(X.iloc[train], labels[train])
            scores.append(fold.decision_function(X.iloc[test]))
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


class Calibration(Protocol):
    """Turns a candidate's probability and the reference's logit into the served one."""

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Give the served probability."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Give a JSON-ready form that `calibration_from_dict` reads."""
        ...


@dataclass(frozen=True)
class IdentityCalibration:
    """The candidate's own probability is served."""

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Give the probability unchanged."""
        return probability

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON-ready form."""
        return {"kind": "identity"}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "IdentityCalibration":
        """Read the JSON-ready form."""
        return cls()


@dataclass(frozen=True)
class AnchoredCalibration:
    """The reference's log odds, moved as far as the candidate has shown it knows better.

    logit p = `reference_weight` logit(reference) + `candidate_weight` logit(candidate) +
    `intercept`; the default is the reference itself.
    """

    reference_weight: float = 1.0
    candidate_weight: float = 0.0
    intercept: float = 0.0

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Give the served probability."""
        return np.asarray(
            expit(
                self.reference_weight * np.asarray(reference_logit, dtype=np.float64)
                + self.candidate_weight * clipped_logit(probability)
                + self.intercept
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON-ready form."""
        return {"kind": "anchored", **asdict(self)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "AnchoredCalibration":
        """Read the JSON-ready form; raises UntrustedModel."""
        return cls(*_numbers(stored, "reference_weight", "candidate_weight", "intercept"))


@dataclass(frozen=True)
class PlattCalibration:
    """A logistic curve over the candidate's own log odds."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Give the served probability."""
        return np.asarray(expit(self.slope * clipped_logit(probability) + self.intercept))

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON-ready form."""
        return {"kind": "platt", **asdict(self)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "PlattCalibration":
        """Read the JSON-ready form; raises UntrustedModel."""
        return cls(*_numbers(stored, "slope", "intercept"))


@dataclass(frozen=True)
class IsotonicCalibration:
    """A rising line through knots, level beyond the first and the last."""

    candidate: tuple[float, ...]
    served: tuple[float, ...]

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Give the served probability."""
        return np.asarray(np.interp(probability, self.candidate, self.served))

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON-ready form."""
        return {"kind": "isotonic", "candidate": [*self.candidate], "served": [*self.served]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "IsotonicCalibration":
        """Read the JSON-ready form; raises UntrustedModel."""
        knots = []
        for name in ("candidate", "served"):
            values = stored.get(name)
            if not isinstance(values, list) or not values:
                raise UntrustedModel(f"isotonic calibration: {name!r} must be a list of numbers")
            row = dict(enumerate(values))
            knots.append(_numbers({str(key): value for key, value in row.items()}, *map(str, row)))
        candidate, served = knots
        rising = all(a < b for a, b in pairwise(candidate)) and all(
            a <= b for a, b in pairwise(served)
        )
        if len(candidate) != len(served) or not rising or not 0 <= served[0] <= served[-1] <= 1:
            raise UntrustedModel("isotonic calibration: its knots must rise and lie in [0, 1]")
        return cls(candidate, served)


def clipped_logit(probability: np.ndarray) -> np.ndarray:
    """Give log odds of a probability clipped to [0.01, 0.99], as the reference's are."""
    return np.asarray(logit(pd.Series(np.asarray(probability, dtype=np.float64))).to_numpy())


def _numbers(stored: Mapping[str, Any], *names: str) -> tuple[float, ...]:
    values = [stored.get(name) for name in names]
    for name, value in zip(names, values, strict=True):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not np.isfinite(cast(float, value)):
            raise UntrustedModel(
                f"{stored.get('kind', 'isotonic')} calibration: {name!r} must be a finite number, "
                f"got {value!r}"
            )
    return tuple(float(cast(float, value)) for value in values)


_KINDS: Mapping[str, Any] = {
    "identity": IdentityCalibration,
    "anchored": AnchoredCalibration,
    "platt": PlattCalibration,
    "isotonic": IsotonicCalibration,
}


def calibration_from_dict(stored: Mapping[str, Any]) -> Calibration:
    """Read a stored calibration; raises UntrustedModel for a kind or a value that is not ours."""
    kind = stored.get("kind")
    if kind not in _KINDS:
        raise UntrustedModel(f"calibration kind {kind!r} is unknown; known: {', '.join(_KINDS)}")
    calibration: Calibration = _KINDS[str(kind)].from_dict(stored)
    return calibration
