"""What is predicted the fast way is what the model itself predicts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.calibration import AnchoredCalibration, PlattCalibration
from crypto_pool.domain.candidates import CANDIDATES, ClassBalance
from crypto_pool.domain.fast_predictors import fast_probability
from crypto_pool.domain.training import REFERENCE_LOGIT, prediction_input


@dataclass
class Model:
    estimator: Any
    calibration: Any
    feature_names: tuple[str, ...]
    asked: int = 0

    def predict_probability(self, frame: pd.DataFrame) -> np.ndarray:
        self.asked += 1
        raw = self.estimator.predict_proba(frame[list(self.feature_names)])[:, 1]
        return self.calibration.apply(raw, frame[REFERENCE_LOGIT].to_numpy())


@pytest.fixture(scope="module")
def rows(market):
    table = market.table
    known = prediction_input(table.features, pd.Series(table.reference_probability, table.index))
    random = np.random.default_rng(1)
    mixed = {name: random.permutation(np.tile(known[name], 6)) for name in known}
    return pd.DataFrame(mixed)  # more than one block, and mixtures as explanations ask for


def fitted(name, market, calibration, **parameters):
    labels = market.table.labels
    estimator = CANDIDATES[name].build(ClassBalance.of(labels), 3).set_params(**parameters)
    estimator.fit(market.table.features, labels)
    return Model(estimator, calibration, tuple(market.table.features.columns))


@pytest.mark.parametrize(
    "calibration", [AnchoredCalibration(0.8, 1.5, 0.1), PlattCalibration(2, 0)]
)
def test_the_support_vector_machine_by_matrix_products_is_libsvm(market, rows, calibration):
    model = fitted("SupportVectorMachine", market, calibration)
    fast = fast_probability(model)(rows)
    assert model.asked == 0
    np.testing.assert_allclose(fast, model.predict_probability(rows), rtol=0, atol=1e-9)
    assert fast.std() > 0.01
    raw = fast_probability(
        Model(model.estimator, AnchoredCalibration(0, 1, 0), model.feature_names)
    )
    one = rows.iloc[:1]
    np.testing.assert_allclose(raw(one), raw(rows)[:1], rtol=0, atol=1e-12)


def test_a_candidate_without_weight_is_not_asked(market, rows):
    model = fitted("RidgeClassifier", market, AnchoredCalibration(0.9, 0.0, -0.2))
    fast = fast_probability(model)(rows)
    assert model.asked == 0
    np.testing.assert_allclose(fast, model.predict_probability(rows), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("RidgeClassifier", {}), ("SupportVectorMachine", {"estimator__svc__kernel": "linear"})],
)
def test_the_others_are_asked_themselves(market, rows, name, parameters):
    model = fitted(name, market, AnchoredCalibration(0.9, 0.5, -0.2), **parameters)
    np.testing.assert_array_equal(fast_probability(model)(rows), model.predict_probability(rows))
    assert model.asked == 2
