"""What an evaluation policy trains on and judges by, and what leaves a candidate unscored."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from crypto_pool.domain.candidates import CANDIDATES, Candidate
from crypto_pool.domain.policies import evaluate
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.training import TrainingTable
from crypto_pool.errors import InvalidSetting, UnscoredCandidate

CLASSIC = Recipe(evaluation_policy="holdout")


def test_holdout_trains_on_the_first_rows_and_judges_by_the_last(table):
    fitted = evaluate(CANDIDATES["RandomForest"], table, CLASSIC)
    boundary = int(len(table) * 0.95)
    assert fitted.trained_through == table.index[boundary - 1]
    assert fitted.chosen_through == table.index[-1]
    assert fitted.evaluation.index.equals(table.index[boundary:])
    np.testing.assert_array_equal(
        fitted.evaluation["reference_probability"], table.reference_probability[boundary:]
    )
    test_rows = table.features.iloc[boundary:]
    served = fitted.model.estimator.predict_proba(test_rows)[:, 1]
    np.testing.assert_array_equal(fitted.evaluation["probability"], served)
    assert fitted.metrics["slice_size"] == fitted.metrics["reference_slice_size"] == len(test_rows)
    train = table.labels[:boundary]
    assert fitted.class_weights[1] == pytest.approx(len(train) / (2 * train.sum()))


def test_what_holdout_serves_does_not_depend_on_the_test_rows(table):
    boundary = int(len(table) * 0.95)
    labels = table.labels.copy()
    labels[boundary:] = 1 - labels[boundary:]
    other = TrainingTable(table.features, labels, table.reference_probability)
    forest = CANDIDATES["RandomForest"]
    ours, theirs = (evaluate(forest, t, CLASSIC) for t in (table, other))
    np.testing.assert_array_equal(ours.evaluation["probability"], theirs.evaluation["probability"])


def test_training_rows_of_one_class_leave_a_candidate_unscored(table):
    one_class = TrainingTable(
        table.features, np.zeros(len(table), dtype=int), table.reference_probability
    )
    for candidate in CANDIDATES.values():
        with pytest.raises(UnscoredCandidate):
            evaluate(candidate, one_class, CLASSIC)


def test_too_few_rows_or_broken_probabilities_leave_a_candidate_unscored(table):
    class Broken(LogisticRegression):
        def predict_proba(self, X):
            return np.full((len(X), 2), np.nan)

    broken = Candidate("Broken", lambda balance, seed: Broken(max_iter=10), "sampled")
    with pytest.raises(UnscoredCandidate, match=r"Broken: .* between 0 and 1, the first is nan"):
        evaluate(broken, table, CLASSIC)
    none = TrainingTable(table.features.iloc[:0], table.labels[:0], np.array([]))
    with pytest.raises(UnscoredCandidate, match="0 labelled rows"):
        evaluate(CANDIDATES["XGBoost"], none, CLASSIC)
    one = TrainingTable(table.features.iloc[:1], table.labels[:1], table.reference_probability[:1])
    with pytest.raises(UnscoredCandidate, match=r"1 labelled rows .* split 0\.95 to 0\.05"):
        evaluate(CANDIDATES["XGBoost"], one, CLASSIC)


def test_what_a_library_warned_of_is_kept_as_a_note(table):
    slow = Candidate("Slow", lambda balance, seed: LogisticRegression(max_iter=1), "sampled")
    notes = evaluate(slow, table, CLASSIC).notes
    assert any(note.startswith("ConvergenceWarning") for note in notes)


def test_calibration_folds_that_were_skipped_are_kept_as_a_note(table):
    labels = table.labels.copy()
    labels[:60], labels[60:70] = 0, 1  # the first fold trains on 46 rows, the second on 112
    late = TrainingTable(table.features, labels, table.reference_probability)
    fitted = evaluate(CANDIDATES["RidgeClassifier"], late, CLASSIC)
    assert len(fitted.model.estimator.skipped_folds_) == 1
    assert fitted.notes == ("1 calibration folds skipped: one class in their training rows",)


def test_policies_are_named():
    with pytest.raises(InvalidSetting, match="'hold-out'"):
        Recipe(evaluation_policy="hold-out")
