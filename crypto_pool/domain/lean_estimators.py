"""scikit-learn's own estimators, fitted by the same steps without the checks between them.

On a thousand rows the checks take most of a fit. Both override a private step of scikit-learn's
fit; tests hold what comes out against the original.
"""

import warnings
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.utils import shuffle

MLP_BATCH_ROWS = 200  # scikit-learn's `auto`


class LeanMLPClassifier(MLPClassifier):  # type: ignore[misc]
    """`MLPClassifier` of one hidden layer, two classes and Adam."""

    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]

    def _fit_stochastic(self, X: np.ndarray, y: np.ndarray, *others: Any) -> None:
        """Train the initial weights in place, all of them in one flat array."""
        layers = [*self.coefs_, *self.intercepts_]
        flat = np.concatenate([part.ravel() for part in layers])
        gradient, mean, square = (np.zeros_like(flat) for _ in range(3))
        inner, outer, *biases = _split(flat, layers)
        inner_slope, outer_slope, *bias_slopes = _split(gradient, layers)
        shrunk, shrinking = (part[: inner.size + outer.size] for part in (flat, gradient))
        step, order, smallest = 0, np.arange(len(X)), np.finfo(flat.dtype).eps
        for _ in range(self.max_iter):
            order = shuffle(order, random_state=self._random_state)
            shuffled, labels, loss = X[order], y[order].astype(flat.dtype), 0.0
            for start in range(0, len(X), MLP_BATCH_ROWS):
                rows = shuffled[start : start + MLP_BATCH_ROWS]
                label = labels[start : start + MLP_BATCH_ROWS]
                hidden = rows @ inner
                hidden += biases[0]
                np.maximum(hidden, 0, out=hidden)
                probability = expit(hidden @ outer + biases[1])
                right = np.where(label > 0, probability, 1 - probability)
                loss -= np.log(right.clip(smallest, 1 - smallest)).sum()
                loss += 0.5 * self.alpha * (shrunk @ shrunk)

                error = probability - label
                np.matmul(hidden.T, error, out=outer_slope)
                error.sum(axis=0, out=bias_slopes[1])
                back = error * outer.T
                back *= hidden > 0
                np.matmul(rows.T, back, out=inner_slope)
                back.sum(axis=0, out=bias_slopes[0])
                shrinking += self.alpha * shrunk
                gradient /= len(rows)

                step += 1
                mean += (1 - self.beta_1) * (gradient - mean)
                square += (1 - self.beta_2) * (gradient * gradient - square)
                rate = self.learning_rate_init * np.sqrt(1 - self.beta_2**step)
                flat -= rate / (1 - self.beta_1**step) * mean / (np.sqrt(square) + self.epsilon)
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
        self.coefs_, self.intercepts_ = [inner, outer], biases


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


def _split(flat: np.ndarray, like: list[np.ndarray]) -> list[np.ndarray]:
    """Return views of a flat array in the shapes of others, one after the other."""
    cuts = np.cumsum([part.size for part in like])[:-1]
    return [
        part.reshape(shape.shape) for part, shape in zip(np.split(flat, cuts), like, strict=True)
    ]


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
