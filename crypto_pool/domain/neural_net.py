"""The Keras candidate behind scikit-learn's interface."""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

HIDDEN_UNITS = 64
BATCH_ROWS = 32
# Rows are padded up to one of these, or to a multiple of the last: JAX compiles once a shape.
# Padding costs a training nothing, for its batches end with the rows.
TRAINING_SIZES = (1024, 4096)
SMALLEST_DEVIATION = 1e-7  # as Keras' normalisation has it


class NeuralNetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Two hidden layers on normalised input, trained by Keras and kept as arrays.

    `layers_` holds each layer's weights and biases; forecasting needs neither Keras nor JAX.
    """

    def __init__(
        self, epochs: int = 100, class_weight: Mapping[int, float] | None = None, seed: int = 0
    ) -> None:
        self.epochs = epochs
        self.class_weight = class_weight
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
        """Train from scratch; the same seed and rows give the same model.

        What `keras.Model.fit` would do with Adam and binary cross-entropy, in batches of
        32 in a new order each epoch, as one compiled program.
        """
        values = np.asarray(X, dtype=np.float32)
        labels = np.asarray(y)
        class_weight = self.class_weight or {}
        weights = np.array([class_weight.get(int(label), 1.0) for label in labels])
        self.mean_, self.deviation_ = _normalisation(values)
        untrained = _untrained_weights(values.shape[1], self.seed)
        size = _padded_size(len(values), TRAINING_SIZES)
        trained = _training_program(values.shape[1])(
            untrained,
            _pad((values - self.mean_) / self.deviation_, size),
            _pad(labels.astype(np.float32), size),
            _pad(weights.astype(np.float32), size),
            _shuffled_rows(len(values), size, self.epochs, self.seed),
            len(values),
        )
        self.layers_ = [np.asarray(values) for values in trained]
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = values.shape[1]
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Give probabilities of class 0 and class 1."""
        check_is_fitted(self, "layers_")
        rows = (np.asarray(X, dtype=np.float32) - self.mean_) / self.deviation_
        *hidden, weights, biases = self.layers_
        for place in range(0, len(hidden), 2):
            rows = np.maximum(rows @ hidden[place] + hidden[place + 1], 0)
        positive = expit((rows @ weights + biases)[:, 0].astype(np.float64))
        return np.column_stack([1 - positive, positive])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Give the more probable class."""
        return np.asarray((self.predict_proba(X)[:, 1] > 0.5).astype(int))


def _hidden_layers(seed: int) -> list[Any]:
    import keras

    def glorot(number: int) -> Any:
        return keras.initializers.GlorotUniform(seed=(3 * seed + number) % 2**31)

    return [
        keras.layers.Dense(HIDDEN_UNITS, activation="relu", kernel_initializer=glorot(0)),
        keras.layers.Dense(HIDDEN_UNITS, activation="relu", kernel_initializer=glorot(1)),
        keras.layers.Dense(1, activation="sigmoid", kernel_initializer=glorot(2)),
    ]


def _normalisation(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = values.mean(axis=0, dtype=np.float64)
    deviation = values.std(axis=0, dtype=np.float64)
    smallest = np.maximum(deviation, SMALLEST_DEVIATION)
    return mean.astype(np.float32), smallest.astype(np.float32)


@lru_cache(maxsize=8)
def _untrained_weights(width: int, seed: int) -> list[Any]:
    import keras

    network = keras.Sequential([keras.Input(shape=(width,)), *_hidden_layers(seed)])
    return [variable.value for variable in network.trainable_variables]


@cache
def _training_program(width: int) -> Callable[..., list[Any]]:
    """Return the compiled training that all networks of one input width share."""
    import jax
    import jax.numpy as jnp
    import keras

    network = keras.Sequential([keras.Input(shape=(width,)), *_hidden_layers(0)])
    optimizer = keras.optimizers.Adam()
    optimizer.build(network.trainable_variables)
    untouched = [variable.value for variable in optimizer.variables]
    cross_entropy = keras.losses.BinaryCrossentropy(reduction=None)

    def forward(hidden: Any, rows: Any) -> Any:
        return network.stateless_call(hidden, [], rows)[0]

    def loss(hidden: Any, rows: Any, labels: Any, weights: Any, count: Any) -> Any:
        losses = cross_entropy(labels[:, None], forward(hidden, rows))
        return jnp.sum(losses * weights) / count

    def train(
        hidden: Any, values: Any, labels: Any, weights: Any, orders: Any, count: Any
    ) -> list[Any]:
        def train_epoch(state: Any, order: Any) -> tuple[Any, None]:
            def train_batch(number: Any, state: Any) -> Any:
                start = number * BATCH_ROWS
                rows = jax.lax.dynamic_slice(order, (start,), (BATCH_ROWS,))
                present = start + jnp.arange(BATCH_ROWS) < count
                gradients = jax.grad(loss)(
                    state[0], values[rows], labels[rows], weights[rows] * present, present.sum()
                )
                return optimizer.stateless_apply(state[1], gradients, state[0])

            batches = (count + BATCH_ROWS - 1) // BATCH_ROWS
            return jax.lax.fori_loop(0, batches, train_batch, state), None

        trained, _ = jax.lax.scan(train_epoch, (hidden, untouched), orders)
        return list(trained[0])

    compiled: Callable[..., list[Any]] = jax.jit(train)
    return compiled


def _shuffled_rows(rows: int, size: int, epochs: int, seed: int) -> np.ndarray:
    """Give each epoch's order of the rows; the padding stays behind them."""
    random = np.random.default_rng(seed)
    orders = np.zeros((epochs, size), dtype=np.int32)
    for order in orders:
        order[:rows] = random.permutation(rows)
    return orders


def _padded_size(rows: int, sizes: tuple[int, ...]) -> int:
    largest = sizes[-1]
    return next((size for size in sizes if rows <= size), -(-rows // largest) * largest)


def _pad(values: np.ndarray, size: int) -> np.ndarray:
    return np.pad(values, [(0, size - len(values)), *[(0, 0)] * (values.ndim - 1)])
