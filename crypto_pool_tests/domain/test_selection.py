"""The metrics of a candidate by hand, the gates it must pass, and who is chosen."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from crypto_pool.domain.candidates import CANDIDATES, Candidate
from crypto_pool.domain.evaluation import Gates, brier_skill, classification_metrics
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.policies import evaluate
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.selection import choose_champion
from crypto_pool.domain.training import TrainingTable
from crypto_pool.errors import InvalidSetting, UnscoredCandidate

CLASSIC = Recipe(evaluation_policy="holdout")
KEYS = [
    "accuracy",
    "precision",
    "positive_accuracy",
    "negative_accuracy",
    "true_positives",
    "false_positives",
    "true_negatives",
    "false_negatives",
    "overall_score",
    "brier_score",
    "log_loss",
    "roc_auc",
    "base_rate",
    "slice_size",
]


def test_metrics_by_hand():
    metrics = classification_metrics(
        np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.5, 0.6, 0.2, 0.1]), 0.5
    )
    assert list(metrics) == KEYS
    assert (metrics["true_positives"], metrics["false_positives"]) == (1, 1)
    assert (metrics["true_negatives"], metrics["false_negatives"]) == (2, 1)  # 0.5 is not above
    assert metrics["accuracy"] == 0.6
    assert metrics["precision"] == 0.5
    assert metrics["positive_accuracy"] == 0.5
    assert metrics["negative_accuracy"] == pytest.approx(2 / 3)
    assert metrics["overall_score"] == pytest.approx(0.06 + 0.2 + 0.4 / 3 + 0.15)
    assert metrics["brier_score"] == pytest.approx((0.01 + 0.25 + 0.36 + 0.04 + 0.01) / 5)
    expected = -np.log([0.9, 0.5, 0.4, 0.8, 0.9]).mean()
    assert metrics["log_loss"] == pytest.approx(expected)
    assert metrics["roc_auc"] == pytest.approx(5 / 6)
    assert (metrics["base_rate"], metrics["slice_size"]) == (0.4, 5)


def test_nothing_flagged_is_no_precision_and_counts_as_zero():
    metrics = classification_metrics(np.array([0, 1]), np.array([0.1, 0.2]))
    assert metrics["precision"] is None
    assert metrics["overall_score"] == pytest.approx(0.1 * 0.5 + 0.2)


def test_a_class_that_does_not_occur_has_no_recall_and_no_auc():
    metrics = classification_metrics(np.array([0, 0]), np.array([0.1, 0.2]))
    assert metrics["positive_accuracy"] is None
    assert metrics["roc_auc"] is None
    assert metrics["negative_accuracy"] == 1.0
    assert np.isfinite(metrics["log_loss"])
    assert Gates().failures(metrics)[0] == "recall is undefined, more than 0.5 is needed"


def test_an_empty_slice_measures_nothing():
    metrics = classification_metrics(np.array([]), np.array([]))
    assert metrics["slice_size"] == 0
    assert metrics["overall_score"] is None
    assert metrics["brier_score"] is None


def test_certain_and_wrong_is_a_finite_log_loss():
    assert np.isfinite(classification_metrics(np.array([1, 0]), np.array([0.0, 0.0]))["log_loss"])


@pytest.mark.parametrize(
    ("name", "limit", "word"),
    [
        ("positive_accuracy", 0.5, "recall"),
        ("negative_accuracy", 0.5, "specificity"),
        ("overall_score", 0.6, "overall score"),
    ],
)
def test_each_gate_must_be_exceeded(name, limit, word):
    passing = {"positive_accuracy": 0.51, "negative_accuracy": 0.51, "overall_score": 0.61}
    assert Gates().failures(passing) == ()
    at_the_limit = {**passing, name: limit}
    said = f"{word} {limit}, more than {limit} is needed"
    assert Gates().failures(at_the_limit) == (said,)
    assert Gates(**{name: 0.4}).failures(at_the_limit) == ()
    said = f"{word} is undefined, more than {limit} is needed"
    assert Gates().failures({**passing, name: None}) == (said,)


def test_skill_is_stated_over_the_reference():
    assert brier_skill(0.1, 0.2) == 0.5
    assert brier_skill(None, 0.2) is None
    assert brier_skill(0.1, 0.0) is None
    several = brier_skill(np.array([0.1, 0.3]), np.array([0.2, 0.0]))
    np.testing.assert_array_equal(several, [0.5, np.nan])


def score(name: str, overall: float | None, recall: float = 0.8) -> TrainedCandidate:
    metrics = {
        "positive_accuracy": recall,
        "negative_accuracy": 0.8,
        "overall_score": overall,
    }
    day = pd.Timestamp("2021-01-01")
    return TrainedCandidate(name, 0.5, day, day, metrics, pd.DataFrame())


def test_the_best_that_passes_wins_and_the_rest_are_told_why():
    scores = [score("B", 0.7), score("A", 0.7), score("C", 0.9, recall=0.2), score("D", 0.65)]
    selection = choose_champion(scores, Gates(), CLASSIC)
    assert selection.winner is not None
    assert selection.winner.algorithm == "A"  # the tie goes by name
    assert selection.rejected == {"C": "recall 0.2, more than 0.5 is needed"}
    assert "best of 3" in selection.reason


def test_that_nobody_passes_is_a_result():
    scores = [score("A", None), score("B", 0.69, recall=0.412), score("C", 0.6)]
    selection = choose_champion(scores, Gates(), CLASSIC)
    assert selection.winner is None
    assert selection.reason == (
        "none of 3 candidates passed the gates "
        "(B, the best of them: recall 0.412, more than 0.5 is needed)"
    )
    assert set(selection.rejected) == {"A", "B", "C"}
    assert choose_champion([], Gates(), CLASSIC).winner is None


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
    with pytest.raises(UnscoredCandidate, match=r"Broken: .* not finite"):
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
