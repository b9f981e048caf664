"""The Keras candidate behind scikit-learn's interface."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

HIDDEN_UNITS = 64


class NeuralNetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Two hidden layers on normalised input; `model_` is the whole Keras model."""

    def __init__(
        self, epochs: int = 100, class_weight: Mapping[int, float] | None = None, seed: int = 0
    ) -> None:
        self.epochs = epochs
        self.class_weight = class_weight
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
        """Train from scratch; the same seed and rows give the same model."""
        import keras

        keras.utils.set_random_seed(self.seed)
        values = np.asarray(X, dtype=np.float32)
        labels = np.asarray(y)
        normalisation = keras.layers.Normalization()
        normalisation.adapt(values)
        model = keras.Sequential(
            [
                keras.Input(shape=(values.shape[1],)),
                normalisation,
                keras.layers.Dense(HIDDEN_UNITS, activation="relu"),
                keras.layers.Dense(HIDDEN_UNITS, activation="relu"),
                keras.layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile(optimizer="adam", loss="binary_crossentropy")
        model.fit(
            values,
            labels.astype(np.float32),
            epochs=self.epochs,
            class_weight=dict(self.class_weight) if self.class_weight else None,
            verbose=0,
        )
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = values.shape[1]
        self.model_: Any = model
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Give probabilities of class 0 and class 1."""
        check_is_fitted(self, "model_")
        values = np.asarray(X, dtype=np.float32)
        # Each new number of rows costs a compilation; powers of two keep them few.
        padding = (1 << max(len(values) - 1, 0).bit_length()) - len(values)
        padded = np.pad(values, ((0, padding), (0, 0)))
        output = self.model_(padded, training=False)
        positive = np.asarray(output, dtype=np.float64).ravel()[: len(values)]
        return np.column_stack([1 - positive, positive])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Give the more probable class."""
        return np.asarray((self.predict_proba(X)[:, 1] > 0.5).astype(int))
