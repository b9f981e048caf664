"""scikit-learn's own estimators, fitted by the same steps without the checks between them.

On a thousand rows the checks take half of a fit and more. Each overrides a private step of
scikit-learn's fit; tests hold what comes out against the original.
"""

import warnings
from functools import cache
from threading import get_ident
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.ensemble import (
    AdaBoostClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._criterion import Gini
from sklearn.tree._splitter import BestSplitter
from sklearn.tree._tree import DepthFirstTreeBuilder, Tree

MLP_BATCH_ROWS = 200  # scikit-learn's `auto`
MOST_SEEDS = UNLIMITED_DEPTH = np.iinfo(np.int32).max
LEAST_LEAF, LEAST_SPLIT, LEAST_WEIGHT, LEAST_GAIN = 1, 2, 0.0, 0.0


class LeanMLPClassifier(MLPClassifier):  # type: ignore[misc]
    """`MLPClassifier` of one hidden layer, two classes and Adam."""

    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]

    def _fit_stochastic(self, X: np.ndarray, y: np.ndarray, *others: Any) -> None:
        """Train the initial weights in place, all of them in one flat array.

        The inner biases are the weights of a column of ones.
        """
        inputs, width = self.coefs_[0].shape
        flat = np.concatenate(
            [part.ravel() for part in (*reversed(self.coefs_), *self.intercepts_)]
        )
        gradient, mean, square = (np.zeros_like(flat) for _ in range(3))
        outer, inner, bias = _network_parts(flat, inputs, width)
        outer_slope, inner_slope, bias_slope = _network_parts(gradient, inputs, width)
        shrunk, shrinking = (part[: (inputs + 1) * width] for part in (flat, gradient))
        rows_and_one = np.column_stack([X, np.ones(len(X))])
        step, order, smallest = 0, np.arange(len(X)), np.finfo(flat.dtype).eps
        probability = np.empty((len(X), 1))
        for _ in range(self.max_iter):
            places = np.arange(len(X))
            self._random_state.shuffle(places)
            order = order[places]
            shuffled, labels, loss = rows_and_one[order], y[order].astype(flat.dtype), 0.0
            for start in range(0, len(X), MLP_BATCH_ROWS):
                batch = slice(start, start + MLP_BATCH_ROWS)
                rows = shuffled[batch]
                hidden = rows @ inner
                np.maximum(hidden, 0, out=hidden)
                expit(hidden @ outer + bias, out=probability[batch])
                loss += 0.5 * self.alpha * (shrunk @ shrunk)

                error = probability[batch] - labels[batch]
                np.matmul(hidden.T, error, out=outer_slope)
                error.sum(axis=0, out=bias_slope)
                np.matmul((rows * error).T, (hidden > 0).astype(flat.dtype), out=inner_slope)
                inner_slope *= outer.T
                shrinking += self.alpha * shrunk
                gradient /= len(rows)

                step += 1
                mean += (1 - self.beta_1) * (gradient - mean)
                square += (1 - self.beta_2) * (gradient * gradient - square)
                rate = self.learning_rate_init * np.sqrt(1 - self.beta_2**step)
                flat -= rate / (1 - self.beta_1**step) * mean / (np.sqrt(square) + self.epsilon)
            right = np.where(labels > 0, probability, 1 - probability)
            loss -= np.log(right.clip(smallest, 1 - smallest)).sum()
            self.n_iter_ += 1
            self.loss_ = loss / len(X)
            self.loss_curve_.append(self.loss_)
            self._update_no_improvement_count(False, None, None, None)
            if self._no_improvement_count > self.n_iter_no_change:
                break
        else:
            warnings.warn(
                f"{self.max_iter} epochs ended before the loss stood still",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.coefs_, self.intercepts_ = [inner[:-1], outer], [inner[-1], bias]


class LeanHistGradientBoostingClassifier(HistGradientBoostingClassifier):  # type: ignore[misc]
    """`HistGradientBoostingClassifier` that finds all weighted quantiles of a feature at once."""

    def _bin_data(
        self, X: np.ndarray, sample_weight: np.ndarray | None, is_training_data: bool
    ) -> np.ndarray:
        if sample_weight is None or not is_training_data or np.isnan(X).any():
            return np.asarray(super()._bin_data(X, sample_weight, is_training_data))
        mapper = self._bin_mapper
        most = mapper.n_bins - 1
        mapper.bin_thresholds_ = [_bin_edges(column, sample_weight, most) for column in X.T]
        mapper.n_bins_non_missing_ = np.array(
            [len(edges) + 1 for edges in mapper.bin_thresholds_], dtype=np.uint32
        )
        mapper.is_categorical_ = np.zeros(X.shape[1], dtype=np.uint8)
        mapper.missing_values_bin_idx_ = most
        return np.asarray(mapper.transform(X))


class LeanTreeClassifier(DecisionTreeClassifier):  # type: ignore[misc]
    """`DecisionTreeClassifier` by its defaults, but for these."""

    def __init__(
        self,
        *,
        max_depth: int | None = None,
        max_features: str | None = None,
        random_state: int | None = None,
    ) -> None:
        """Leave all else as it is by default."""
        super().__init__(max_depth=max_depth, max_features=max_features, random_state=random_state)

    def fit(
        self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> "LeanTreeClassifier":
        """Fit rows of another float width."""
        return self._fit(self._validate_X_predict(X, True), y, sample_weight)

    def _validate_X_predict(self, X: np.ndarray, check_input: bool) -> np.ndarray:
        return np.asarray(X, dtype=np.float32)

    def predict_proba(self, X: np.ndarray, check_input: bool = True) -> np.ndarray:
        """Give the shares of the classes in each row's leaf."""
        shares = self.tree_.predict(self._validate_X_predict(X, check_input))
        return np.asarray(shares[:, : self.n_classes_])

    def _fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        sample_weight: np.ndarray | None,
        missing_values_in_feature_mask: np.ndarray | None = None,
        **others: Any,
    ) -> "LeanTreeClassifier":
        if missing_values_in_feature_mask is not None:
            mask = missing_values_in_feature_mask
            super()._fit(X, y, sample_weight, missing_values_in_feature_mask=mask, **others)
            return self
        self.classes_ = np.unique(y)
        labels = np.searchsorted(self.classes_, y)
        self.n_classes_, self.n_outputs_ = np.intp(len(self.classes_)), 1
        self.n_features_in_ = X.shape[1]
        classes = np.array([self.n_classes_], dtype=np.intp)
        is_part = self.max_features == "sqrt"
        self.max_features_ = int(np.sqrt(X.shape[1])) if is_part else X.shape[1]
        random = _generator(get_ident())
        random.seed(self.random_state)
        splitter = BestSplitter(
            Gini(1, classes),
            self.max_features_,
            LEAST_LEAF,
            LEAST_WEIGHT,
            random,  # of which it draws once, at its start
            None,
        )
        depth = UNLIMITED_DEPTH if self.max_depth is None else self.max_depth
        builder = DepthFirstTreeBuilder(
            splitter, LEAST_SPLIT, LEAST_LEAF, LEAST_WEIGHT, depth, LEAST_GAIN
        )
        self.tree_ = Tree(X.shape[1], classes, 1)
        weights = None if sample_weight is None else sample_weight.astype(np.float64)
        builder.build(self.tree_, X, labels.reshape(-1, 1).astype(np.float64), weights)
        return self


class LeanRandomForestClassifier(RandomForestClassifier):  # type: ignore[misc]
    """`RandomForestClassifier` of lean trees, by its defaults but for weights and seed."""

    def _make_estimator(self, append: bool, random_state: Any) -> LeanTreeClassifier:
        return _lean_tree(random_state, max_features=self.max_features)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Give the mean of the trees' probabilities, asked one by one and not over workers."""
        rows = self._validate_X_predict(X)
        total = np.zeros((len(rows), self.n_classes_))
        for tree in self.estimators_:
            total += tree.predict_proba(rows)
        return np.asarray(total / len(self.estimators_))


class LeanAdaBoostClassifier(AdaBoostClassifier):  # type: ignore[misc]
    """`AdaBoostClassifier` of lean trees of one split, by its defaults but for the seed."""

    def _make_estimator(self, append: bool = True, random_state: Any = None) -> LeanTreeClassifier:
        tree = _lean_tree(random_state, max_depth=1)
        self.estimators_.append(tree)
        return tree


def _lean_tree(random_state: Any, **settings: Any) -> LeanTreeClassifier:
    """Return a tree with the seed that scikit-learn would draw for it."""
    return LeanTreeClassifier(random_state=random_state.randint(MOST_SEEDS), **settings)


@cache
def _generator(thread: int) -> np.random.RandomState:
    """Return that of a thread: making one takes seventy times as long as seeding it again."""
    return np.random.RandomState()


def _network_parts(flat: np.ndarray, inputs: int, width: int) -> tuple[np.ndarray, ...]:
    """Return views of a network's numbers: the outer weights, the inner ones and the biases.

    The last of the inner rows are the hidden layer's biases.
    """
    outer, inner, bias = np.split(flat, [width, len(flat) - 1])
    return outer.reshape(width, 1), inner.reshape(inputs + 1, width), bias


def _bin_edges(column: np.ndarray, weights: np.ndarray, most: int) -> np.ndarray:
    """Return the rising edges between at most so many bins of a feature, of like weight each."""
    order = np.argsort(column)
    values, cumulated = column[order], np.cumsum(weights[order])
    distinct = np.unique(values)
    if len(distinct) <= most:
        return np.asarray((distinct[:-1] + distinct[1:]) / 2)
    ranks = np.linspace(0, 100, num=most + 1)[1:-1] / 100 * cumulated[-1]
    last = len(values) - 1
    at = np.searchsorted(cumulated, ranks).clip(max=last)
    within = cumulated[at] - ranks > np.finfo(column.dtype).eps
    edges = np.where(within, values[at], (values[at] + values[(at + 1).clip(max=last)]) / 2)
    return np.unique(edges)
