"""The metrics of a candidate by hand."""

import numpy as np
import pytest

from crypto_pool.domain.evaluation import brier_skill, classification_metrics

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
    metrics = classification_metrics(np.array([0, 1]), np.array([0.1, 0.2]), 0.5)
    assert metrics["precision"] is None
    assert metrics["overall_score"] == pytest.approx(0.1 * 0.5 + 0.2)


def test_a_class_that_does_not_occur_has_no_recall_and_no_auc():
    metrics = classification_metrics(np.array([0, 0]), np.array([0.1, 0.2]), 0.5)
    assert metrics["positive_accuracy"] is None
    assert metrics["roc_auc"] is None
    assert metrics["negative_accuracy"] == 1.0
    assert np.isfinite(metrics["log_loss"])


def test_an_empty_slice_measures_nothing():
    metrics = classification_metrics(np.array([]), np.array([]), 0.5)
    assert metrics["slice_size"] == 0
    assert metrics["overall_score"] is None
    assert metrics["brier_score"] is None


def test_certain_and_wrong_is_a_finite_log_loss():
    assert np.isfinite(
        classification_metrics(np.array([1, 0]), np.array([0.0, 0.0]), 0.5)["log_loss"]
    )


def test_skill_is_stated_over_the_reference():
    assert brier_skill(0.1, 0.2) == 0.5
    assert brier_skill(None, 0.2) is None
    assert brier_skill(0.1, 0.0) is None
    several = brier_skill(np.array([0.1, 0.3]), np.array([0.2, 0.0]))
    np.testing.assert_array_equal(several, [0.5, np.nan])
