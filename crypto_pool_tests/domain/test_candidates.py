"""The ten candidates, each with its seed, its class weights and graded probabilities."""

from dataclasses import replace

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from crypto_pool.domain.calibrations import AnchoredCalibration, IdentityCalibration
from crypto_pool.domain.candidates import CANDIDATES, ClassBalance
from crypto_pool.domain.explanation import FOREST, SAMPLED, explain
from crypto_pool.domain.fitting import subsample
from crypto_pool.domain.policies import evaluate
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.served_model import ServedModel, positive_probability
from crypto_pool.domain.support_vectors import RadialSVC
from crypto_pool.domain.training import served_rows
from crypto_pool.errors import UnscoredCandidate

NAMES = [
    "RandomForest",
    "SupportVectorMachine",
    "XGBoost",
    "HistGradientBoosting",
    "AdaBoost",
    "RidgeClassifier",
    "KNeighbors",
    "MLPClassifier",
    "LightGBM",
    "NeuralNet",
]
RECIPE = Recipe(evaluation_policy="holdout", seed=3)
OF_EARLIER_MODELS = {"sklearn.neural_network._stochastic_optimizers.AdamOptimizer"}


@pytest.fixture(scope="module")
def fitted(market):
    return {
        name: evaluate(candidate, market.table, RECIPE) for name, candidate in CANDIDATES.items()
    }


def served(name, fitted):
    return lambda rows: positive_probability(name, fitted[name].model.estimator, rows)


def test_the_zoo_is_the_ten_in_order():
    assert list(CANDIDATES) == NAMES
    assert all(candidate.name == name for name, candidate in CANDIDATES.items())


def test_class_balance_makes_both_classes_count_the_same():
    balance = ClassBalance.of(np.array([0, 0, 0, 1]))
    assert balance.weights == {0: pytest.approx(2 / 3), 1: 2.0}
    assert balance.negatives_per_positive == pytest.approx(3)
    assert CANDIDATES["XGBoost"].build(balance, 0).scale_pos_weight == pytest.approx(3)
    with pytest.raises(UnscoredCandidate, match="one class"):
        _ = ClassBalance(5, 0).weights


def parameters(name: str, ending: str) -> list:
    built = CANDIDATES[name].build(ClassBalance(3, 1), 5).get_params()
    return [value for key, value in built.items() if key.endswith(ending)]


@pytest.mark.parametrize("name", NAMES)
def test_each_that_takes_class_weights_is_given_them(name):
    takes_none = ("XGBoost", "AdaBoost", "KNeighbors", "MLPClassifier")
    expected = [] if name in takes_none else [ClassBalance(3, 1).weights]
    assert parameters(name, "class_weight") == expected


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("HistGradientBoosting", "max_bins", 63),
        ("NeuralNet", "epochs", 100),
        *((name, "n_jobs", 1) for name in ("RandomForest", "XGBoost", "KNeighbors", "LightGBM")),
        *(("LightGBM", name, True) for name in ("deterministic", "force_row_wise")),
        ("LightGBM", "verbose", -1),
    ],
)
def test_what_is_not_as_the_library_has_it(name, parameter, value):
    assert parameters(name, parameter) == [value]


@pytest.mark.parametrize("name", NAMES)
def test_each_that_draws_lots_is_given_the_seed(name):
    expected = [] if name == "KNeighbors" else [5]
    assert parameters(name, "random_state") + parameters(name, "seed") == expected


@pytest.mark.parametrize(
    "name", ["SupportVectorMachine", "RidgeClassifier", "KNeighbors", "MLPClassifier"]
)
def test_the_unit_of_a_feature_does_not_matter_to_those_that_measure_distances(
    name, fitted, market
):
    table = replace(
        market.table, features=market.table.features.assign(MACD=lambda rows: rows["MACD"] * 1024)
    )
    other = evaluate(CANDIDATES[name], table, RECIPE)
    ours = fitted[name].evaluation["probability"]
    np.testing.assert_allclose(other.evaluation["probability"], ours, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_candidate_gives_graded_probabilities(name, fitted, market):
    probability = served(name, fitted)(market.table.features)
    assert ((probability >= 0) & (probability <= 1)).all()
    assert len(np.unique(probability)) > 2


@pytest.mark.parametrize("name", ["RandomForest", "XGBoost", "LightGBM", "NeuralNet"])
def test_the_same_seed_gives_the_same_model(name, fitted, market):
    again = evaluate(CANDIDATES[name], market.table, RECIPE)
    np.testing.assert_array_equal(again.evaluation, fitted[name].evaluation)


def test_a_network_answers_the_same_row_by_row_and_at_once(fitted, market):
    rows = market.table.features.iloc[:5]
    at_once = served("NeuralNet", fitted)(rows)
    one_by_one = [served("NeuralNet", fitted)(rows.iloc[[i]])[0] for i in range(5)]
    np.testing.assert_allclose(at_once, one_by_one, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_survives_skops_with_exactly_its_trusted_types(name, fitted, market):
    stored = skops.io.dumps(fitted[name].model.estimator)
    trusted = CANDIDATES[name].trusted_types
    assert set(skops.io.get_untrusted_types(data=stored)) == set(trusted) - OF_EARLIER_MODELS
    read = skops.io.loads(stored, trusted=list(trusted))
    rows = market.table.features
    np.testing.assert_array_equal(
        read.predict_proba(rows), fitted[name].model.estimator.predict_proba(rows)
    )


@pytest.mark.parametrize("name", NAMES)
def test_trusted_types_refuse_a_foreign_one(name):
    foreign = make_pipeline(FunctionTransformer(np.fft.fft), LogisticRegression())
    stored = skops.io.dumps(foreign)
    with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException):
        skops.io.loads(stored, trusted=list(CANDIDATES[name].trusted_types))


@pytest.mark.parametrize("name", NAMES)
def test_each_is_explained_in_what_it_serves(name, fitted, market):
    model, known = fitted[name].model, served_rows(market.table)
    rows, background = known.iloc[-2:], subsample(known, 200)
    told = explain(model, background, rows, 0)
    exact = name == "RandomForest"
    assert told.method == (FOREST if exact else SAMPLED)
    assert list(told.mean) == list(told.mean_absolute) == list(market.table.features.columns)
    predict = model.predict_probability
    expected = predict(rows).mean() - predict(background).mean()
    assert sum(told.mean.values()) == pytest.approx(expected, abs=0.01 if exact else 1e-6)


@pytest.mark.parametrize("name", ["LightGBM", "RidgeClassifier"])
def test_the_anchor_beside_the_features_is_told_apart_from_them(name, fitted, market):
    odds = np.linspace(-2, 2, len(market.table.features))
    frame = market.table.features.assign(reference_logit=odds)
    rows, background = frame.iloc[-4:], frame.iloc[:200]
    alone, anchored = (
        replace(fitted[name].model, calibration=calibration)
        for calibration in (IdentityCalibration(), AnchoredCalibration(0.5, 0.5, 0.0))
    )
    unmoved, moved = (explain(model, background, rows, 0) for model in (alone, anchored))
    features = list(market.table.features.columns)
    assert list(unmoved.mean) == list(moved.mean) == list(moved.mean_absolute) == features
    assert unmoved.reference == pytest.approx(0.0, abs=1e-12)
    assert moved.reference > 0.1
    total = sum(moved.mean.values()) + moved.reference
    predict = anchored.predict_probability
    assert total == pytest.approx(predict(rows).mean() - predict(background).mean(), abs=1e-6)


def test_the_radial_machine_scores_as_scikit_learn_s_does(fitted, market):
    machine = fitted["SupportVectorMachine"].model.estimator.estimator_[-1]
    rows = np.random.default_rng(1).normal(size=(2500, market.table.features.shape[1]))
    assert type(machine) is RadialSVC
    np.testing.assert_allclose(
        machine.decision_function(rows), SVC.decision_function(machine, rows), rtol=0, atol=1e-9
    )


def test_a_candidate_without_weight_is_not_asked(market):
    rows = served_rows(market.table).iloc[:5]
    mute = ServedModel("XGBoost", AnchoredCalibration(0.9, 0.0, -0.2), (), estimator=object())
    odds = 0.9 * rows["reference_logit"] - 0.2
    np.testing.assert_allclose(mute.predict_probability(rows), 1 / (1 + np.exp(-odds)))
