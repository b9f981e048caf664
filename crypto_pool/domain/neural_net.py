"""The Keras candidate behind scikit-learn's interface."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

HIDDEN_UNITS = 64
BATCH_ROWS = 32
# Rows are padded up to one of these, or to a multiple of the last: JAX compiles once a shape.
# Padding costs a training nothing, for its batches end with the rows.
TRAINING_SIZES = (1024, 4096)
PREDICTION_SIZES = (64, 1024, 8192)


class NeuralNetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Two hidden layers on normalised input; `model_` is the whole Keras model."""

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
        model = _build_model(values, self.seed)
        programs = _programs(values.shape[1])
        size = _padded_size(len(values), TRAINING_SIZES)
        hidden = [variable.value for variable in model.trainable_variables]
        trained = programs.train(
            hidden,
            _pad(np.asarray(model.layers[0](values)), size),
            _pad(labels.astype(np.float32), size),
            _pad(weights.astype(np.float32), size),
            _shuffled_rows(len(values), size, self.epochs, self.seed),
            len(values),
        )
        for variable, value in zip(model.trainable_variables, trained, strict=True):
            variable.assign(value)
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = values.shape[1]
        self.model_: Any = model
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Give probabilities of class 0 and class 1."""
        check_is_fitted(self, "model_")
        values = np.asarray(X, dtype=np.float32)
        normalisation = self.model_.layers[0]
        hidden = [variable.value for variable in self.model_.trainable_variables]
        predict = _programs(values.shape[1]).predict
        size = _padded_size(len(values), PREDICTION_SIZES)
        block = min(size, PREDICTION_SIZES[-1])
        padded = _pad(values, size).reshape(-1, block, values.shape[1])
        output = [predict(hidden, normalisation.mean, normalisation.variance, b) for b in padded]
        positive = np.concatenate(output).astype(np.float64)[: len(values)]
        return np.column_stack([1 - positive, positive])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Give the more probable class."""
        return np.asarray((self.predict_proba(X)[:, 1] > 0.5).astype(int))


@dataclass(frozen=True)
class _Programs:
    """The compiled programs all networks of one input width share."""

    train: Callable[..., list[Any]]
    predict: Callable[..., Any]


def _hidden_layers(seed: int) -> list[Any]:
    import keras

    def glorot(number: int) -> Any:
        return keras.initializers.GlorotUniform(seed=(3 * seed + number) % 2**31)

    return [
        keras.layers.Dense(HIDDEN_UNITS, activation="relu", kernel_initializer=glorot(0)),
        keras.layers.Dense(HIDDEN_UNITS, activation="relu", kernel_initializer=glorot(1)),
        keras.layers.Dense(1, activation="sigmoid", kernel_initializer=glorot(2)),
    ]


def _build_model(values: np.ndarray, seed: int) -> Any:
    """Give an untrained network whose normalisation knows the training rows."""
    import keras

    normalisation = keras.layers.Normalization()
    normalisation.adapt(values)
    width = values.shape[1]
    return keras.Sequential([keras.Input(shape=(width,)), normalisation, *_hidden_layers(seed)])


@cache
def _programs(width: int) -> _Programs:
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

    def predict(hidden: Any, mean: Any, variance: Any, rows: Any) -> Any:
        deviation = jnp.maximum(jnp.sqrt(variance), keras.backend.epsilon())
        return forward(hidden, (rows - mean) / deviation).ravel()

    return _Programs(jax.jit(train), jax.jit(predict))


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
