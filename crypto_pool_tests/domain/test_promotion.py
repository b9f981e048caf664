"""Who serves: decided on rows neither side has seen."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.promotion import Incumbent, PromotionRules, compare, decide
from crypto_pool.domain.recipe import Recipe
from crypto_pool.errors import UnscoredCandidate

RULES = PromotionRules()
TRAINED = date(2021, 6, 30)
CHALLENGER = TrainedCandidate(
    "LightGBM", 0.5, pd.Timestamp(TRAINED), pd.Timestamp(TRAINED), {}, pd.DataFrame()
)
AS_OF = date(2021, 7, 10)  # of the champion's training
YOUNG, OLD, OLDER = (AS_OF + timedelta(days=days) for days in (29, 30, 31))
FEW_ROWS = date(2020, 11, 15)


def incumbent(fault: str = "", seen: date = TRAINED) -> Incumbent:
    return Incumbent("3", AS_OF, TRAINED, seen, 0.5, fault)


def comparison(rows: int, worse_by: float = 0.0, noise: float = 0.0, seed: int = 0):
    """The challenger's Brier score is higher by `worse_by`, give or take a daily noise."""
    random = np.random.default_rng(seed)
    excess = worse_by + noise * random.standard_normal(rows)
    return pd.DataFrame(
        {
            "label": np.zeros(rows, dtype=int),
            "champion_probability": 0.5,
            "challenger_probability": np.sqrt(0.25 + excess),
        },
        index=pd.date_range("2021-08-01", periods=rows),
    )


@pytest.mark.parametrize(
    ("champion", "challenger", "unseen", "out_of_fold", "as_of", "decision", "said"),
    [
        (None, CHALLENGER, None, None, YOUNG, "promoted", "nobody served"),
        (None, None, None, None, YOUNG, "rejected", "nobody serves"),
        # No challenger: the winner failed the gates.
        (incumbent(), None, None, None, YOUNG, "rejected", "version 3 stays: it is 29 days old"),
        (incumbent(), None, None, None, OLD, "stood down", "it is 30 days old"),
        (incumbent(), None, None, None, OLDER, "stood down", "it is 31 days old"),
        (incumbent("no file"), None, None, None, YOUNG, "stood down", "no file"),
        # 1. The champion has a fault.
        (incumbent("no file"), CHALLENGER, None, None, YOUNG, "replaced", "cannot serve: no file"),
        # 2. The whole interval is better.
        (incumbent(), CHALLENGER, (150, -0.05), None, YOUNG, "promoted", "lower by 0.0500"),
        (incumbent(), CHALLENGER, (151, -0.05), None, YOUNG, "promoted", "lower by 0.0500"),
        (incumbent(), CHALLENGER, (149, -0.05), None, YOUNG, "kept", "149 rows that neither"),
        (incumbent(), CHALLENGER, (150, 0.0), None, YOUNG, "kept", "score is the same (90 %"),
        (incumbent(), CHALLENGER, (150, -0.001, 0.05), None, YOUNG, "kept", "90 % interval"),
        # 3. It is not old.
        (incumbent(), CHALLENGER, None, (600, -0.05), YOUNG, "kept", "29 days old"),
        # 4. It is old, and the challenger is not worse.
        (incumbent(), CHALLENGER, (60, 0.014), None, OLD, "refreshed", "60 rows that neither"),
        (incumbent(), CHALLENGER, (61, 0.014), None, OLDER, "refreshed", "61 rows that neither"),
        (incumbent(), CHALLENGER, (60, 0.0151), None, OLD, "kept", "may be worse"),
        (incumbent(), CHALLENGER, (59, 0.2), (600, 0.0), OLD, "refreshed", "600 out-of-fold rows"),
        (incumbent(), CHALLENGER, None, (600, 0.1), OLD, "kept", "0.015 is the limit"),
        (incumbent(), CHALLENGER, None, None, OLD, "refreshed", "too few rows compare"),
    ],
)
def test_decisions(champion, challenger, unseen, out_of_fold, as_of, decision, said):
    frames = [None if made is None else comparison(*made) for made in (unseen, out_of_fold)]
    verdict = decide(champion, challenger, frames[0], as_of, RULES, out_of_fold=frames[1])
    assert verdict.decision == decision
    assert said in verdict.reason
    assert verdict.replaces == (decision in ("promoted", "replaced", "refreshed"))


def test_age_counts_from_one_training_to_the_next_and_is_a_setting():
    rules = replace(RULES, refresh_after_days=45)
    ages = [AS_OF + timedelta(days=days) for days in (44, 45)]
    decisions = [
        decide(incumbent(), CHALLENGER, comparison(60), as_of, rules).decision for as_of in ages
    ]
    assert decisions == ["kept", "refreshed"]


def test_why_the_two_could_not_meet_is_said():
    verdict = decide(incumbent(), CHALLENGER, None, YOUNG, RULES, incomparable="too few rows")
    assert verdict.reason.endswith("too few rows")


def test_a_gap_of_days_is_no_shorter_for_having_no_rows():
    """60 rows in two stretches a year apart are two blocks, however few rows lie in each."""
    whole = comparison(60, 0.0, 0.1)
    apart = whole.set_axis([*whole.index[:30], *(whole.index[30:] + pd.Timedelta(days=365))])
    reasons = [decide(incumbent(), CHALLENGER, f, OLD, RULES).reason for f in (whole, apart)]
    assert reasons[0] != reasons[1]


def test_both_sides_metrics_are_kept_with_the_verdict_each_at_its_own_threshold():
    champion, challenger = (
        replace(incumbent(), decision_threshold=0.6),
        replace(CHALLENGER, decision_threshold=0.3),
    )
    frame = comparison(160).assign(label=1)
    verdict = decide(champion, challenger, frame, YOUNG, RULES)
    assert verdict.champion_metrics["brier_score"] == pytest.approx(0.25)
    assert verdict.champion_metrics["true_positives"] == 0
    assert verdict.challenger_metrics["true_positives"] == 160


def compared(table, champion, probability):
    return compare(
        table, champion, probability, CANDIDATES["LightGBM"], Recipe(evaluation_policy="holdout")
    )


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


@pytest.mark.parametrize("trained", [TRAINED, date(2019, 1, 1)])
def test_the_stored_rows_of_a_baseline_are_its_forecasts_in_a_comparison(table, trained):
    """It is the panel also against a champion that was trained before there was one."""
    panel = np.where(table.index <= pd.Timestamp(TRAINED), np.nan, 0.3)
    panel[-200:] = np.linspace(0.1, 0.9, 200)
    known = replace(table, panel_probability=panel)
    assert known.baseline == "Panel"
    champion = replace(incumbent(), trained_through=trained)
    frame = compare(known, champion, lambda rows: np.full(len(rows), 0.5), None, Recipe())
    stored = pd.Series(panel, table.index)[frame.index]
    np.testing.assert_allclose(frame["challenger_probability"], stored)


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
    champion = replace(incumbent(), trained_through=trained)
    with pytest.raises(UnscoredCandidate, match=said) as caught:
        compare(table, champion, np.zeros, CANDIDATES["LightGBM"], Recipe())
    verdict = decide(champion, CHALLENGER, None, YOUNG, RULES, incomparable=str(caught.value))
    assert said in verdict.reason
    assert "0 rows that neither" not in verdict.reason
