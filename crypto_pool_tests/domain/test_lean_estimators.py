"""Estimators without scikit-learn's overhead give what scikit-learn's give."""

import warnings

import numpy as np
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from crypto_pool.domain.lean_estimators import (
    LeanAdaBoostClassifier,
    LeanHistGradientBoostingClassifier,
    LeanMLPClassifier,
    LeanRandomForestClassifier,
)


def answers(estimator, rows, labels, fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(rows[:fitted], labels[:fitted]).predict_proba(rows)


@pytest.mark.parametrize("fitted", [150, 201, 480])
@pytest.mark.parametrize("epochs", [40, 400])
def test_the_network_is_scikit_learns(market, fitted, epochs):
    rows = StandardScaler().fit_transform(market.table.features)
    lean, theirs = (
        kind(random_state=5, max_iter=epochs, tol=1e-3)
        for kind in (LeanMLPClassifier, MLPClassifier)
    )
    ours = answers(lean, rows, market.table.labels, fitted)
    np.testing.assert_allclose(ours, answers(theirs, rows, market.table.labels, fitted), atol=1e-9)
    assert lean.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(lean.loss_curve_, theirs.loss_curve_, atol=1e-9)


def test_a_network_that_was_ended_early_says_so(market):
    rows = StandardScaler().fit_transform(market.table.features)
    with pytest.warns(ConvergenceWarning, match="3 epochs"):
        LeanMLPClassifier(random_state=5, max_iter=3).fit(rows, market.table.labels)


@pytest.mark.parametrize("fitted", [400, 378])  # of six times 63 rows each bin ends on a row
@pytest.mark.parametrize("weights", [None, {0: 1.0, 1: 1.0}, {0: 0.6, 1: 2.5}, {0: 1.0, 1: 40.0}])
def test_boosted_histograms_are_scikit_learns(market, weights, fitted):
    rows = market.table.features.assign(
        of_five=lambda rows: rows["MACD"].rank(pct=True).mul(5).round(),
        same=1.0,
        mostly_zero=lambda rows: rows["7_day_RSI"].where(rows["7_day_RSI"] > 60, 0),
    )
    lean, theirs = (
        kind(max_bins=63, class_weight=weights, random_state=5)
        for kind in (LeanHistGradientBoostingClassifier, HistGradientBoostingClassifier)
    )
    ours = answers(lean, rows, market.table.labels, fitted)
    np.testing.assert_array_equal(ours, answers(theirs, rows, market.table.labels, fitted))


def test_boosted_histograms_take_missing_values_as_scikit_learn_does(market):
    rows = market.table.features.where(lambda values: values > values.quantile(0.1))
    lean, theirs = (
        kind(class_weight={0: 0.6, 1: 2.5}, random_state=5, max_iter=10)
        for kind in (LeanHistGradientBoostingClassifier, HistGradientBoostingClassifier)
    )
    ours = answers(lean, rows, market.table.labels, 400)
    np.testing.assert_array_equal(ours, answers(theirs, rows, market.table.labels, 400))


@pytest.mark.parametrize("weights", [None, {0: 0.6, 1: 2.5}, {0: 1.0, 1: 40.0}])
@pytest.mark.parametrize("fitted", [40, 480])
def test_a_forest_is_scikit_learns(market, weights, fitted):
    rows = market.table.features
    lean, theirs = (
        kind(class_weight=weights, random_state=5)
        for kind in (LeanRandomForestClassifier, RandomForestClassifier)
    )
    ours = answers(lean, rows, market.table.labels, fitted)
    np.testing.assert_array_equal(ours, answers(theirs, rows, market.table.labels, fitted))
    np.testing.assert_array_equal(lean.feature_importances_, theirs.feature_importances_)


def test_a_forest_takes_missing_values_as_scikit_learn_does(market):
    rows = market.table.features.where(lambda values: values > values.quantile(0.1))
    lean, theirs = (
        kind(class_weight={0: 0.6, 1: 2.5}, random_state=5)
        for kind in (LeanRandomForestClassifier, RandomForestClassifier)
    )
    ours = answers(lean, rows, market.table.labels, 400)
    np.testing.assert_array_equal(ours, answers(theirs, rows, market.table.labels, 400))


@pytest.mark.parametrize("fitted", [40, 480])
def test_boosted_trees_are_scikit_learns(market, fitted):
    rows = market.table.features
    lean, theirs = (kind(random_state=5) for kind in (LeanAdaBoostClassifier, AdaBoostClassifier))
    ours = answers(lean, rows, market.table.labels, fitted)
    np.testing.assert_array_equal(ours, answers(theirs, rows, market.table.labels, fitted))
    np.testing.assert_array_equal(lean.estimator_weights_, theirs.estimator_weights_)
    np.testing.assert_array_equal(lean.feature_importances_, theirs.feature_importances_)
