"""Out-of-fold scores, and the probabilities that are calibrated on them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import RidgeClassifier

from crypto_pool.domain.calibration import TimeOrderedCalibratedClassifier
from crypto_pool.domain.calibrations import IdentityCalibration, calibration_from_dict
from crypto_pool.domain.candidates import CANDIDATES, ClassBalance
from crypto_pool.errors import UnscoredCandidate, UntrustedModel


class RecordingScorer(ClassifierMixin, BaseEstimator):
    """Scores by its first column and remembers which rows it saw, by their last."""

    fits: list[tuple[int, int]] = []  # noqa: RUF012
    scored: list[tuple[int, int]] = []  # noqa: RUF012

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.fits.append(tuple(np.asarray(X)[[0, -1], -1]))
        return self

    def decision_function(self, X):
        self.scored.append(tuple(np.asarray(X)[[0, -1], -1]))
        return np.asarray(X)[:, 0]


def noisy_rows(count: int = 400) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(0)
    score = random.normal(size=count)
    labels = (random.uniform(size=count) < 1 / (1 + np.exp(-2 * score))).astype(int)
    return pd.DataFrame({"score": score, "noise": random.normal(size=count)}), labels


def test_every_score_comes_from_a_model_of_earlier_rows():
    RecordingScorer.fits.clear()
    RecordingScorer.scored.clear()
    rows, labels = noisy_rows()
    model = TimeOrderedCalibratedClassifier(RecordingScorer(), n_splits=4, gap=20)
    model.fit(rows.assign(place=range(400)), labels)
    folds = list(zip(RecordingScorer.fits, RecordingScorer.scored, strict=False))
    assert len(folds) == 4
    for (train_from, train_to), (test_from, _) in folds:
        assert train_from == 0
        assert test_from - train_to == 21  # 20 whole rows lie between
    assert RecordingScorer.fits[-1] == (0, 399)  # the base learns from all rows at last
    assert model.fold_ends_ == [(60, 80, 160), (140, 160, 240), (220, 240, 320), (300, 320, 400)]
    assert model.skipped_folds_ == []


def test_probabilities_are_calibrated_and_not_a_disguised_answer():
    rows, labels = noisy_rows(2000)
    model = TimeOrderedCalibratedClassifier(RidgeClassifier()).fit(rows[:1500], labels[:1500])
    probability = model.predict_proba(rows[1500:])[:, 1]
    assert len(np.unique(probability)) == 500
    truth = 1 / (1 + np.exp(-2 * rows["score"][1500:]))
    assert np.abs(probability - truth).mean() < 0.05
    np.testing.assert_array_equal(model.predict(rows[1500:]), (probability > 0.5).astype(int))


@pytest.mark.parametrize("name", ["SupportVectorMachine", "RidgeClassifier"])
def test_svc_and_ridge_are_calibrated_on_time_ordered_folds(table, name):
    estimator = CANDIDATES[name].build(ClassBalance.of(table.labels), 0)
    estimator.fit(table.features, table.labels)
    assert len(estimator.fold_ends_) >= 2
    for train_end, test_start, test_end in estimator.fold_ends_:
        assert train_end + 20 <= test_start < test_end
    ends = [end for _, _, end in estimator.fold_ends_]
    assert ends == sorted(ends)
    probability = estimator.predict_proba(table.features)[:, 1]
    assert ((probability > 0) & (probability < 1)).all()
    assert len(np.unique(probability.round(6))) > len(table) / 2


def test_a_training_fold_of_one_class_is_skipped_and_said():
    rows, labels = noisy_rows()
    labels[:70] = 0
    model = TimeOrderedCalibratedClassifier(RidgeClassifier(), n_splits=4).fit(rows, labels)
    assert model.skipped_folds_ == [(60, 80, 160)]
    assert len(model.fold_ends_) == 3


def test_fewer_than_two_folds_leave_a_candidate_unscored():
    rows, labels = noisy_rows()
    labels[:250] = 0
    with pytest.raises(UnscoredCandidate, match="1 of 4 calibration folds"):
        TimeOrderedCalibratedClassifier(RidgeClassifier(), n_splits=4).fit(rows, labels)
    with pytest.raises(UnscoredCandidate, match="30 rows are too few"):
        TimeOrderedCalibratedClassifier(RidgeClassifier()).fit(rows[:30], labels[:30])


def test_out_of_fold_rows_of_one_class_teach_no_scale():
    rows, labels = noisy_rows()
    labels[80:] = 1
    with pytest.raises(UnscoredCandidate, match="have label 1"):
        TimeOrderedCalibratedClassifier(RidgeClassifier(), n_splits=4).fit(rows, labels)


def test_a_served_calibration_survives_json_and_a_foreign_kind_is_refused():
    stored = IdentityCalibration().to_dict()
    assert calibration_from_dict(stored) == IdentityCalibration()
    probability = np.array([0.1, 0.9])
    np.testing.assert_array_equal(
        IdentityCalibration().apply(probability, np.zeros(2)), probability
    )
    with pytest.raises(UntrustedModel, match="'pickle'"):
        calibration_from_dict({"kind": "pickle"})
