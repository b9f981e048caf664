"""Who serves: decided on rows neither side has seen."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from crypto_pool.domain.calibration import AnchoredCalibration
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.policies import HoldoutPolicy, PurgedWalkForwardPolicy
from crypto_pool.domain.promotion import (
    Challenger,
    Incumbent,
    PromotionRules,
    compare,
    decide,
    served_probability,
)
from crypto_pool.domain.training import prediction_input
from crypto_pool.errors import UnscoredCandidate

RULES = PromotionRules(margin=0.01, min_rows=30, expires_after_days=60)
CHALLENGER = Challenger("LightGBM", 0.5)
TRAINED = date(2021, 6, 30)
FEW_ROWS = date(2020, 11, 15)


def incumbent(fault: str = "", seen: date = TRAINED) -> Incumbent:
    return Incumbent("3", TRAINED, seen, 0.5, fault)


def comparison(champion: float, challenger: float, rows: int = 40) -> pd.DataFrame:
    """Both give every row, all of class 1, the same probability."""
    return pd.DataFrame(
        {
            "label": np.ones(rows, dtype=int),
            "champion_probability": champion,
            "challenger_probability": challenger,
        }
    )


@pytest.mark.parametrize(
    ("champion", "challenger", "rows", "as_of", "decision", "said"),
    [
        (None, CHALLENGER, None, date(2021, 8, 1), "promoted", "nobody served"),
        (None, None, None, date(2021, 8, 1), "rejected", "nobody serves"),
        (incumbent(), None, None, date(2021, 12, 1), "rejected", "version 3 stays"),
        (incumbent("no file"), CHALLENGER, None, date(2021, 8, 1), "promoted", "no file"),
        (incumbent(), CHALLENGER, None, date(2021, 8, 1), "kept", "0 rows"),
        (incumbent(), CHALLENGER, None, date(2021, 8, 29), "expired", "60 days ago"),
        (incumbent(), CHALLENGER, (0.5, 0.9, 40), date(2021, 8, 1), "promoted", "+0.2400 on 40"),
        (incumbent(), CHALLENGER, (0.5, 0.9, 30), date(2021, 8, 1), "promoted", "on 30"),
        (incumbent(), CHALLENGER, (0.5, 0.9, 29), date(2021, 8, 1), "kept", "29 rows"),
        (incumbent(), CHALLENGER, (0.9, 0.904, 40), date(2021, 8, 1), "kept", "+0.0008"),
        (incumbent(), CHALLENGER, (0.9, 0.5, 40), date(2021, 8, 1), "kept", "-0.2400"),
        (incumbent(), CHALLENGER, (0.9, 0.5, 40), date(2021, 9, 1), "expired", "-0.2400"),
    ],
)
def test_decisions(champion, challenger, rows, as_of, decision, said):
    frame = None if rows is None else comparison(*rows)
    verdict = decide(champion, challenger, frame, as_of, RULES)
    assert verdict.decision == decision
    assert said in verdict.reason
    assert verdict.replaces == (decision in ("promoted", "expired"))


def test_both_sides_metrics_are_kept_with_the_verdict():
    verdict = decide(incumbent(), CHALLENGER, comparison(0.5, 0.9), date(2021, 8, 1), RULES)
    assert verdict.champion_metrics["brier_score"] == pytest.approx(0.25)
    assert verdict.challenger_metrics["brier_score"] == pytest.approx(0.01)
    assert verdict.champion_metrics["slice_size"] == 40


def test_each_side_signals_at_its_own_threshold():
    champion, challenger = replace(incumbent(), decision_threshold=0.6), Challenger("A", 0.3)
    verdict = decide(champion, challenger, comparison(0.5, 0.5), date(2021, 8, 1), RULES)
    assert verdict.champion_metrics["true_positives"] == 0
    assert verdict.challenger_metrics["true_positives"] == 40


def test_a_margin_that_is_just_met_is_enough():
    rules = replace(RULES, margin=0.5**2 - 0.25**2)
    verdict = decide(incumbent(), CHALLENGER, comparison(0.5, 0.75), date(2021, 8, 1), rules)
    assert verdict.decision == "promoted"


def test_a_candidate_that_is_calibrated_to_the_reference_serves_it(table):
    estimator = DummyClassifier().fit(table.features, table.labels)
    fitted = SimpleNamespace(estimator=estimator, calibration=AnchoredCalibration())
    reference = pd.Series(table.reference_probability, table.index)
    rows = prediction_input(table.features, reference)
    served = served_probability(CANDIDATES["LightGBM"], fitted, rows)
    np.testing.assert_allclose(served, reference.clip(0.01, 0.99))


def compared(table, champion, probability):
    return compare(table, champion, probability, CANDIDATES["LightGBM"], HoldoutPolicy())


def test_comparison_rows_start_after_what_the_champion_saw(table):
    champion = incumbent(seen=date(2021, 7, 31))
    frame = compared(table, champion, lambda rows: np.full(len(rows), 0.5))
    assert frame.index.min() == pd.Timestamp("2021-08-21")  # 20 days share no price
    assert frame.index.max() == table.index.max()
    assert list(frame["label"]) == list(table.labels[table.index >= frame.index.min()])


def test_the_challenger_of_the_comparison_knows_nothing_later(table):
    """Other labels after the champion's trained_through change no forecast."""
    champion = incumbent()
    later = np.asarray(table.index > pd.Timestamp(TRAINED))
    flipped = type(table)(
        table.features,
        np.where(later, 1 - table.labels, table.labels),
        table.reference_probability,
    )
    same = lambda rows: np.full(len(rows), 0.5)  # noqa: E731
    one, other = compared(table, champion, same), compared(flipped, champion, same)
    assert (one["label"] != other["label"]).all()
    pd.testing.assert_series_equal(one["challenger_probability"], other["challenger_probability"])


def test_no_comparison_without_rows(table):
    seen = table.index.max().date()
    assert compared(table, incumbent(seen=seen), lambda rows: np.zeros(len(rows))) is None


@pytest.mark.parametrize(
    ("trained", "said"),
    [
        (date(2019, 1, 1), "and version 3 was trained through 2019-01-01"),
        (FEW_ROWS, "labelled rows are too few for 5 time-ordered folds"),
    ],
)
def test_what_stops_a_comparison_is_the_reason_on_record(table, trained, said):
    champion = Incumbent("3", trained, TRAINED, 0.5)
    policy = PurgedWalkForwardPolicy()
    with pytest.raises(UnscoredCandidate, match=said) as caught:
        compare(table, champion, np.zeros, CANDIDATES["LightGBM"], policy)
    verdict = decide(champion, CHALLENGER, None, TRAINED, RULES, str(caught.value))
    assert "no comparison with it on rows that neither has seen: " in verdict.reason
    assert said in verdict.reason
    assert "0 rows that neither" not in verdict.reason
