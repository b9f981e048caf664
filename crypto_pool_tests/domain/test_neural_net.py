"""The network is trained to the weights that Keras gives, and answers as Keras does."""

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from crypto_pool.domain.neural_net import NeuralNetClassifier

CLASS_WEIGHT = {0: 0.7, 1: 1.8}


def rows_and_labels(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng([rows, seed])
    values = random.normal(3, 5, (rows, 19))
    scaled = (values - 3) / 5
    odds = scaled[:, 0] + scaled[:, 1] * scaled[:, 2] - 1
    return pd.DataFrame(values), (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)


def in_keras(net: NeuralNetClassifier) -> keras.Model:
    """The same network as a Keras model."""
    layers = [keras.layers.Dense(64, activation="relu") for _ in range(2)]
    layers.append(keras.layers.Dense(1, activation="sigmoid"))
    normalisation = keras.layers.Normalization(
        mean=net.mean_.astype(float), variance=np.square(net.deviation_.astype(float))
    )
    model = keras.Sequential([keras.Input((len(net.mean_),)), normalisation, *layers])
    for layer, place in zip(layers, range(0, 6, 2), strict=True):
        layer.set_weights(net.layers_[place : place + 2])
    return model


def fit_with_keras(rows: pd.DataFrame, labels: np.ndarray, epochs: int, seed: int):
    """Train Keras' own way, from where the classifier starts."""
    model = in_keras(NeuralNetClassifier(epochs=0, seed=seed).fit(rows, labels))
    keras.utils.set_random_seed(seed)
    model.compile(optimizer="adam", loss="binary_crossentropy")
    model.fit(
        rows.to_numpy(np.float32),
        labels.astype(np.float32),
        epochs=epochs,
        class_weight=CLASS_WEIGHT,
        verbose=0,
    )
    return model


def test_one_batch_an_epoch_gives_the_weights_keras_gives():
    rows, labels = rows_and_labels(24, seed=5)
    started = NeuralNetClassifier(epochs=0, seed=4).fit(rows, labels).layers_
    ours = NeuralNetClassifier(epochs=20, class_weight=CLASS_WEIGHT, seed=4).fit(rows, labels)
    theirs = fit_with_keras(rows, labels, epochs=20, seed=4)
    assert np.abs(ours.layers_[-2] - started[-2]).max() > 0.01
    for own, reference in zip(
        ours.layers_, [weight.numpy() for weight in theirs.trainable_weights], strict=True
    ):
        np.testing.assert_allclose(own, reference, rtol=1e-4, atol=1e-5)


def test_it_predicts_unseen_rows_as_well_as_keras_own_training():
    unseen, truth = rows_and_labels(2000, seed=99)
    differences = []
    for seed in range(6):
        rows, labels = rows_and_labels(500, seed)
        ours = NeuralNetClassifier(epochs=15, class_weight=CLASS_WEIGHT, seed=seed)
        theirs = fit_with_keras(rows, labels, epochs=15, seed=seed)
        reference = np.asarray(theirs(unseen.to_numpy(np.float32)), dtype=np.float64)[:, 0]
        own = ours.fit(rows, labels).predict_proba(unseen)
        differences.append(log_loss(truth, own) - log_loss(truth, reference))
    assert abs(np.mean(differences)) < max(0.01, 3 * np.std(differences, ddof=1) / np.sqrt(6))


@pytest.mark.parametrize("count", [1, 65, 3000])
def test_any_number_of_rows_is_answered_as_keras_answers(count):
    rows, labels = rows_and_labels(count + 40, seed=1)
    net = NeuralNetClassifier(epochs=2, seed=1).fit(rows.iloc[-40:], labels[-40:])
    given = rows.iloc[:count]
    answer = net.predict_proba(given)
    expected = np.asarray(in_keras(net)(given.to_numpy(np.float32)))[:, 0]
    assert answer.shape == (count, 2)
    np.testing.assert_allclose(answer[:, 1], expected, atol=1e-5)


def test_more_rows_than_one_padded_size_train_and_repeat_exactly():
    rows, labels = rows_and_labels(1100, seed=2)
    first, again = (NeuralNetClassifier(epochs=2, seed=9).fit(rows, labels) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(rows), again.predict_proba(rows))
    other = NeuralNetClassifier(epochs=2, seed=10).fit(rows, labels)
    assert np.abs(other.predict_proba(rows) - first.predict_proba(rows)).max() > 1e-3
