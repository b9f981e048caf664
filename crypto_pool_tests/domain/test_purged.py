"""Purged walk-forward folds: no label of training reaches the rows it is judged on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from crypto_pool.domain import splits
from crypto_pool.domain.calibration_fitting import fit_anchored
from crypto_pool.domain.calibrations import AnchoredCalibration
from crypto_pool.domain.candidates import CANDIDATES, Candidate
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.policies import evaluate
from crypto_pool.domain.recipe import Recipe, Target
from crypto_pool.domain.reference import logit
from crypto_pool.domain.signal_threshold import choose_threshold
from crypto_pool.domain.splits import purged_mask, walk_forward_folds
from crypto_pool.domain.training import TrainingTable, training_table
from crypto_pool.errors import InvalidSetting, UnscoredCandidate
from crypto_pool_tests.domain.conftest import synthetic_bars

LOGISTIC = Candidate(
    "Logistic",
    lambda balance, seed: make_pipeline(StandardScaler(), LogisticRegression()),
    "sampled",
)


def days(count: int, missing: tuple[int, ...] = ()) -> pd.DatetimeIndex:
    index = pd.date_range("2021-01-01", periods=count)
    return index.delete(list(missing))


@pytest.mark.parametrize("horizon", [10, 14])
@pytest.mark.parametrize("missing", [(), tuple(range(150, 190)), (200, 333, 400)])
def test_no_label_window_of_training_reaches_the_test_rows(horizon, missing):
    index = days(700, missing)
    for fold in walk_forward_folds(index, horizon):
        last_price_of_training = index[fold.train[-1]] + pd.Timedelta(days=horizon)
        first_price_of_test = index[fold.test[0]] - pd.Timedelta(days=9)
        assert last_price_of_training < first_price_of_test
        known = purged_mask(index, index[fold.test[0]], horizon)
        assert known[fold.train].all()
        assert (index[known] + pd.Timedelta(days=horizon)).max() < first_price_of_test


def test_folds_expand_in_time_and_judge_every_later_row_once():
    folds = walk_forward_folds(days(600), 10)
    assert [fold.number for fold in folds] == [1, 2, 3, 4, 5]
    assert all(fold.train[0] == 0 for fold in folds)
    judged = np.concatenate([fold.test for fold in folds])
    np.testing.assert_array_equal(judged, np.arange(judged[0], 600))


def test_too_few_rows_are_said():
    with pytest.raises(UnscoredCandidate, match="60 labelled rows are too few"):
        walk_forward_folds(days(60), 10)


def random_walk_table(seed: int, horizon: int = 10, days: int = 700) -> TrainingTable:
    """Features that only say which day it is: whoever finds skill has seen the labels."""
    bars = synthetic_bars(days, seed)
    features = build_features(compute_indicators(bars))
    table = training_table(
        bars, features, "uptrend", bars.index[-1], Recipe(Target(horizon=horizon))
    )
    clock = np.arange(len(table), dtype=float)
    return replace(
        table,
        features=pd.DataFrame({"day": clock}, index=table.index),
        reference_probability=np.full(len(table), table.labels.mean()),
    )


NEAREST = Candidate("Nearest", lambda balance, seed: KNeighborsClassifier(n_neighbors=1), "sampled")


def neighbour_agreement() -> float:
    """How often the row before the gap has the label of the first test rows, beyond chance."""
    excess = []
    for seed in range(8):
        table = random_walk_table(seed)
        for fold in walk_forward_folds(table.index, 10):
            if len(np.unique(table.labels[fold.train])) == 2:
                nearest = table.labels[fold.train[-1]]
                first = table.labels[fold.test[:5]]
                expected = table.labels.mean() if nearest else 1 - table.labels.mean()
                excess.append((first == nearest).mean() - expected)
    return float(np.mean(excess))


def test_without_the_gap_the_nearest_row_gives_the_label_away(monkeypatch):
    with_gap = neighbour_agreement()
    monkeypatch.setattr(splits, "purge_gap", lambda horizon: 0)
    without_gap = neighbour_agreement()
    assert with_gap < 0.12
    assert without_gap > 0.2


def test_what_is_promised_does_not_change_with_later_labels(table):
    ours = evaluate(LOGISTIC, table).evaluation
    fourth = ours.index[ours["fold"] == 4]
    last_known = fourth[0] - pd.Timedelta(days=21)
    labels = np.where(table.index > last_known, 1 - table.labels, table.labels)
    theirs = evaluate(LOGISTIC, replace(table, labels=labels)).evaluation
    same = ["probability", "decision_threshold", "reference_probability"]
    pd.testing.assert_frame_equal(ours.loc[: fourth[-1], same], theirs.loc[: fourth[-1], same])
    assert not ours.loc[fourth[-1] :, same].equals(theirs.loc[fourth[-1] :, same])


def test_labels_shifted_into_the_future_would_be_noticed(market):
    """The last label of the table is known on the very day the table stands at."""
    now = market.bars.index[400]
    table = training_table(market.bars, market.features, "uptrend", now)
    average = market.bars["close"].rolling(10).mean()
    change = average.shift(-10) / average - 1
    np.testing.assert_array_equal(table.labels, (change.loc[table.index] >= 0.05).astype(int))
    assert table.index[-1] + pd.Timedelta(days=10) == now


def test_what_serves_is_fitted_on_every_row_and_promised_on_the_folds(table):
    fitted = evaluate(LOGISTIC, table)
    assert fitted.trained_through == fitted.chosen_through == table.index[-1]
    assert list(fitted.evaluation["fold"].unique()) == [2, 3, 4, 5]
    assert fitted.evaluation.index.is_monotonic_increasing
    assert fitted.evaluation.index[-1] == table.index[-1]
    refit = LOGISTIC.build(None, 0).fit(table.features, table.labels)
    np.testing.assert_allclose(
        fitted.model.estimator.predict_proba(table.features), refit.predict_proba(table.features)
    )
    brier = ((fitted.evaluation["probability"] - fitted.evaluation["label"]) ** 2).mean()
    assert fitted.metrics["brier_score"] == pytest.approx(brier)
    flagged = fitted.evaluation["probability"] > fitted.evaluation["decision_threshold"]
    assert fitted.metrics["precision"] == pytest.approx(fitted.evaluation["label"][flagged].mean())
    assert set(fitted.folds) == {2, 3, 4, 5}
    assert isinstance(fitted.model.calibration, AnchoredCalibration)


@pytest.mark.parametrize("policy", ["purged_walk_forward", "holdout"])
def test_the_figures_are_the_same_without_the_model(table, policy):
    sizes: list[int] = []

    def build(balance, seed):
        sizes.append(balance.negatives + balance.positives)
        return LOGISTIC.build(balance, seed)

    recipe = Recipe.from_settings({**Recipe().to_settings(), "evaluation_policy": policy})
    counted = replace(LOGISTIC, build=build)
    whole = evaluate(counted, table, recipe)
    fits = len(sizes)
    figures = evaluate(counted, table, recipe, with_model=False)
    assert figures.model is None
    assert len(sizes) - fits == fits - (policy == "purged_walk_forward")
    assert sizes.count(len(table)) == (policy == "purged_walk_forward")
    assert (figures.metrics, figures.decision_threshold) == (
        whole.metrics,
        whole.decision_threshold,
    )
    pd.testing.assert_frame_equal(figures.evaluation, whole.evaluation)
    assert figures.trained_through == whole.trained_through


def test_what_serves_is_calibrated_on_every_out_of_fold_row(table):
    fitted = evaluate(LOGISTIC, table)
    tested, own = [], []
    for fold in walk_forward_folds(table.index, 10):
        scorer = LOGISTIC.build(None, 0)
        scorer.fit(table.features.iloc[fold.train], table.labels[fold.train])
        own.append(scorer.predict_proba(table.features.iloc[fold.test])[:, 1])
        tested.append(fold.test)
    rows, probability = np.concatenate(tested), np.concatenate(own)
    labels = table.labels[rows]
    reference = logit(pd.Series(table.reference_probability[rows])).to_numpy()
    expected = fit_anchored(probability, reference, labels, 20)
    found = list(fitted.model.calibration.to_dict().values())[1:]
    assert found == pytest.approx(list(expected.to_dict().values())[1:])
    threshold = choose_threshold(labels, expected.apply(probability, reference))
    assert fitted.decision_threshold == threshold


def test_the_classifiers_that_calibrate_themselves_leave_the_same_gap(table):
    fitted = evaluate(CANDIDATES["RidgeClassifier"], table, Recipe(Target(horizon=14)))
    assert fitted.model.estimator.gap == 24


def test_folds_of_one_class_are_skipped_and_said(table):
    labels = table.labels.copy()
    labels[:150] = 0
    fitted = evaluate(LOGISTIC, replace(table, labels=labels))
    assert any("fold 1 skipped" in note and "one class" in note for note in fitted.notes)
    labels[: walk_forward_folds(table.index, 10)[-1].train[-1] + 1] = 0
    labels[-5:] = 1
    with pytest.raises(UnscoredCandidate, match="at least 2 are needed"):
        evaluate(LOGISTIC, replace(table, labels=labels))


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_the_other_calibrations_are_selectable(table, kind):
    fitted = evaluate(LOGISTIC, table, Recipe(calibration=kind))
    assert fitted.model.calibration.to_dict()["kind"] == kind
    assert fitted.evaluation["probability"].between(0, 1).all()


def test_a_calibration_without_both_classes_judges_nothing(table):
    labels = np.zeros(len(table), dtype=int)
    labels[:40] = 1  # in training, never out of fold
    with pytest.raises(UnscoredCandidate, match="both classes"):
        evaluate(LOGISTIC, replace(table, labels=labels), Recipe(calibration="platt"))
    with pytest.raises(InvalidSetting, match="'other' is unknown"):
        Recipe(calibration="other")


@pytest.mark.parametrize(("begins", "baseline"), [(0.6, "Panel"), (0.7, "RandomWalk")])
def test_the_panel_is_the_baseline_where_it_has_half_of_the_judged_rows(table, begins, baseline):
    """Those of all folds but the first; a fold without any of its rows is skipped."""
    panel = np.full(len(table), 0.3)
    panel[: int(begins * len(table))] = np.nan
    late = replace(table, panel_probability=panel)
    assert late.baseline == baseline
    fitted = evaluate(LOGISTIC, late)
    if baseline == "Panel":
        assert fitted.evaluation.index.min() >= table.index[int(begins * len(table))]


def test_a_baseline_is_trained_and_chosen_through_its_last_judged_row(table):
    """A row without a panel forecast is not judged."""
    panel = np.full(len(table), 0.3)
    panel[-7:] = np.nan
    fitted = evaluate(None, replace(table, panel_probability=panel))
    assert fitted.trained_through == fitted.chosen_through == table.index[-8]
    assert fitted.evaluation.index[-1] == table.index[-8]
    assert fitted.metrics["added_points"] == 0
