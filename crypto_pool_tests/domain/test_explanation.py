"""Explanations agree with SHAP's exact explainer and add up to what is served."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import shap
from scipy.special import expit

from crypto_pool.domain.calibrations import IdentityCalibration, PlattCalibration
from crypto_pool.domain.candidates import CANDIDATES, ClassBalance
from crypto_pool.domain.explanation import (
    ALONE,
    FOREST,
    SAMPLED,
    Explanation,
    contributions,
    explain,
)
from crypto_pool.domain.served_model import REFERENCE_LOGIT, ServedModel

COLUMNS = ["a", "b", "c", "d", "unused", REFERENCE_LOGIT]


def served(frame: pd.DataFrame) -> np.ndarray:
    """A probability whose inputs work on each other, and one that has no part in it."""
    a, b, c, d = (frame[name].to_numpy() for name in "abcd")
    return expit(a * b + 2 * (c > 0) * d - np.abs(a) + 0.7 * frame[REFERENCE_LOGIT].to_numpy())


def model(predict) -> SimpleNamespace:
    """A served model that answers so; its estimator is no forest."""
    return SimpleNamespace(
        algorithm="KNeighbors",
        feature_names=tuple(COLUMNS[:-1]),
        anchor=REFERENCE_LOGIT,
        predict_probability=predict,
    )


def random_rows(count: int, seed: int, columns=COLUMNS) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(size=(count, len(columns)))
    return pd.DataFrame(values, columns=columns, index=pd.date_range("2021-01-01", periods=count))


def exact_values(predict, background: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    def on_arrays(values):
        return predict(pd.DataFrame(values, columns=rows.columns))

    masker = shap.maskers.Independent(background, max_samples=len(background))
    return shap.ExactExplainer(on_arrays, masker)(rows.to_numpy()).values


@pytest.fixture(scope="module")
def background():
    return random_rows(200, seed=1)


def test_sampled_means_agree_with_the_exact_explainer(background):
    rows = random_rows(30, seed=2) + 1.5  # all on one side, so that no mean is small by chance
    explanation = explain(model(served), background, rows, seed=3)
    exact = exact_values(served, background, rows)
    means = {**explanation.mean, REFERENCE_LOGIT: explanation.reference}
    errors = np.array([means[name] for name in COLUMNS]) - exact.mean(axis=0)
    assert explanation.method == SAMPLED
    assert 0 < explanation.standard_error < 0.0035
    assert np.abs(errors).max() <= 2 * explanation.standard_error
    largest = np.sort(np.abs(exact.mean(axis=0)))[-4:]
    assert largest.min() / 10 > 2 * explanation.standard_error  # one that is 10 % off is noticed
    assert explanation.mean_absolute == pytest.approx(
        dict(zip(COLUMNS[:-1], np.abs(exact).mean(axis=0), strict=False)), abs=0.005
    )
    assert explanation.mean["unused"] == explanation.mean_absolute["unused"] == 0


def test_every_row_adds_up_to_what_is_served(background):
    rows = random_rows(5, seed=4)
    explanation = explain(model(served), background, rows, seed=3)
    added = explanation.values.sum(axis=1) + served(background).mean()
    assert added.to_numpy() == pytest.approx(served(rows), abs=1e-12)
    assert explanation.values.index.equals(rows.index)
    assert list(explanation.mean) == COLUMNS[:-1]


def test_a_seed_gives_the_same_explanation_and_another_seed_another(background):
    rows = random_rows(3, seed=5)
    first, again, other = (
        explain(model(served), background, rows, seed).values for seed in (1, 1, 2)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_standard_error_is_not_less_than_the_scatter_of_repetitions(background):
    rows = random_rows(4, seed=6)
    runs = [explain(model(served), background, rows, seed) for seed in range(12)]
    scatter = pd.DataFrame([run.mean for run in runs]).std().max()
    assert scatter <= runs[0].standard_error <= 0.02


def test_standard_error_of_inputs_that_do_not_work_on_each_other_is_that_of_the_background():
    def added(frame):
        return 0.3 + 0.01 * frame["a"].to_numpy() + 0.02 * frame["b"].to_numpy()

    few, rows = random_rows(5, seed=1), random_rows(3, seed=2)
    explanation = explain(model(added), few, rows, seed=1)
    known = (rows[["a", "b"]].mean() - few[["a", "b"]].mean()) * [0.01, 0.02]
    assert [explanation.mean[name] for name in "ab"] == pytest.approx(known.to_list())
    # Each background row gives each of the rows one value of b, whatever the order of inputs.
    error = 0.02 * few["b"].std(ddof=1) / np.sqrt(5) / np.sqrt(3)
    assert 0.01 * few["a"].std() < 0.02 * few["b"].std()
    assert explanation.standard_error == pytest.approx(error)


def test_standard_error_falls_with_the_root_of_the_rows(background):
    rows = random_rows(1, seed=6)
    few, many = (
        explain(
            model(served),
            background,
            pd.DataFrame(np.repeat(rows.to_numpy(), count, axis=0), columns=COLUMNS),
            seed=1,
        ).standard_error
        for count in (4, 64)
    )
    assert few / many == pytest.approx(4, rel=0.1)


def test_what_only_the_reference_moves_is_all_its_own(background):
    def reference_alone(frame):
        return expit(0.5 * frame[REFERENCE_LOGIT].to_numpy())

    rows = random_rows(6, seed=7)
    explanation = explain(model(reference_alone), background, rows, seed=1)
    expected = reference_alone(rows).mean() - reference_alone(background).mean()
    assert explanation.reference == pytest.approx(expected, abs=1e-12)
    assert set(explanation.mean.values()) == {0.0}
    assert (explanation.method, explanation.standard_error) == (ALONE, 0.0)


def test_what_nobody_explains_has_no_values():
    nothing = Explanation.none()
    assert (nothing.method, nothing.standard_error, nothing.mean) == ("none", 0.0, {})
    assert nothing.rows.empty


def test_contributions_are_the_largest_values_of_the_one_row(background):
    row = random_rows(1, seed=8)
    exact = exact_values(served, background, row)[0]
    largest = contributions(model(served), background, row, seed=1, count=3)
    order = np.argsort(-np.abs(exact))[:3]
    assert [item.feature for item in largest] == [COLUMNS[i] for i in order]
    assert [item.contribution for item in largest] == pytest.approx(list(exact[order]), abs=0.02)


def test_a_forest_served_as_it_is_gets_its_exact_values():
    columns = ["a", "b", "c", "d", "e"]
    training, rows = random_rows(200, 9, columns), random_rows(8, 10, columns)
    labels = (training["a"] * training["b"] + training["c"] > 0).to_numpy().astype(int)
    candidate = CANDIDATES["RandomForest"]
    forest = candidate.build(ClassBalance.of(labels), 1).fit(training, labels)

    def own(frame):
        return forest.predict_proba(frame[columns])[:, 1]

    identity = ServedModel("RandomForest", IdentityCalibration(), tuple(columns), forest)
    background = training.assign(**{REFERENCE_LOGIT: 0.0})
    explained = rows.assign(**{REFERENCE_LOGIT: 1.0})
    explanation = explain(
        identity,
        background,
        explained,
        seed=1,
    )
    assert (explanation.method, explanation.standard_error) == (FOREST, 0.0)
    assert explanation.values[columns].to_numpy() == pytest.approx(
        exact_values(own, training, rows), abs=1e-3
    )
    assert explanation.reference == 0

    calibrated = replace(identity, calibration=PlattCalibration(2.0, -1.0))
    assert explain(calibrated, background, explained, seed=1).method == SAMPLED
