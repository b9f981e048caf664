"""Whether a champion goes on serving, by its own record."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.label_windows import review_days_needed
from crypto_pool.domain.performance import live_rows, measure
from crypto_pool.domain.review import Record, ReviewRules, record_of, review_champion
from crypto_pool_tests.domain.live_forecasts import opposite, scored

RULES = ReviewRules()
NOBODY = pd.DataFrame()


def ledger(*decisions):
    """Rows of (decision, serving version, algorithm), thirty days apart."""
    first = date(2023, 1, 1)
    return pd.DataFrame(
        [
            {
                "decision": decision,
                "serving_version": version,
                "algorithm": algorithm,
                "as_of": first + timedelta(days=30 * number),
            }
            for number, (decision, version, algorithm) in enumerate(decisions)
        ]
    )


def day(number):
    return date(2023, 1, 1) + timedelta(days=30 * number)


FIRST = ("promoted", "1", "LightGBM")


@pytest.mark.parametrize(
    ("decisions", "versions", "since"),
    [
        ([FIRST], {"1"}, None),
        ([FIRST, ("refreshed", "2", "LightGBM")], {"1", "2"}, None),
        ([FIRST, ("kept", "1", "XGBoost"), ("refreshed", "3", "LightGBM")], {"1", "3"}, None),
        ([FIRST, ("refreshed", "2", "XGBoost")], {"2"}, None),
        ([FIRST, ("replaced", "2", "LightGBM")], {"2"}, None),
        ([FIRST, ("quarantined", "1", "LightGBM")], {"1"}, day(1)),
        ([FIRST, ("refreshed", "2", "LightGBM"), ("rolled back", "1", "LightGBM")], {"1"}, day(2)),
        (
            [
                FIRST,
                ("quarantined", "1", "LightGBM"),
                ("replaced", "2", "LightGBM"),
                ("refreshed", "3", "LightGBM"),
            ],
            {"2", "3"},
            None,
        ),
    ],
)
def test_a_record_goes_back_over_what_was_refreshed_and_no_further(decisions, versions, since):
    rows = ledger(*decisions)
    record = record_of(rows, rows["serving_version"].iloc[-1])
    assert record == Record(frozenset(versions), since)


def test_rows_of_the_record_are_later_than_what_it_begins_with():
    rows = pd.concat([scored(60, version="1"), scored(60, start="2023-03-02", version="2")])
    kept = Record(frozenset({"2"}), date(2023, 3, 11)).rows(rows)
    assert (len(kept), min(kept["prediction_date"])) == (50, date(2023, 3, 12))
    assert Record().rows(NOBODY).empty


def test_one_worse_than_the_reference_is_quarantined_and_the_reason_has_the_figures():
    review = review_champion(opposite(200), NOBODY, RULES)
    assert review.action == "quarantine"
    assert "200 live forecasts" in review.reason
    assert "10.0 separate label windows" in review.reason


def test_ninety_days_are_too_few_to_condemn_even_the_worst():
    review = review_champion(opposite(90), NOBODY, RULES)
    assert review.action == "keep"
    assert "too few" in review.reason


@pytest.mark.parametrize(("shorter", "known"), [(0, True), (1, False)])
def test_the_shortest_window_of_a_review_just_holds_a_verdict(shorter, known):
    rows = opposite(200)
    matured = rows["prediction_date"].max() + timedelta(days=10)
    kept = live_rows(rows, matured, review_days_needed(10) - shorter, 10)
    assert (measure(kept, 10).p_value is not None) == known


def test_the_limit_falls_with_the_days_on_record():
    levels = [RULES.level(days) for days in (100, 200, 350)]
    assert levels == sorted(levels)
    assert levels[-1] == pytest.approx(0.0071, abs=4e-4)
    assert RULES.level(0) == RULES.level(1) < RULES.level(2)
    # One that fills the window is looked at for years.
    assert RULES.level(351) == RULES.level(400) == pytest.approx(0.0026, abs=1e-4)


@pytest.mark.parametrize(("noise", "least", "most"), [(0.001, 0.0, 0.05), (0.2, 0.9, 1.0)])
def test_one_as_good_as_the_reference_is_rarely_quarantined_and_a_noisy_one_is(noise, least, most):
    found = 0
    for seed in range(50):
        rows = scored(355, seed=seed)
        sign = np.random.default_rng(seed).choice([-1, 1], len(rows))
        rows = rows.assign(probability=rows["reference_probability"] + noise * sign)
        looks = [rows.iloc[:days] for days in range(115, 356, 60)]
        found += "quarantine" in [review_champion(look, NOBODY, RULES).action for look in looks]
    assert least <= found / 50 <= most


def test_a_previous_version_that_does_better_on_the_same_days_returns():
    record = opposite(150, version="2")
    previous = record.assign(probability=record["reference_probability"], model_version="1")
    review = review_champion(record, previous, RULES)
    assert review.action == "roll back"
    assert "150 live days" in review.reason


def test_a_previous_version_is_judged_on_days_both_forecast():
    record = scored(150, bias=0.0, version="2")
    earlier = scored(150, bias=0.0, start="2021-01-01")
    assert review_champion(record, earlier, RULES).action == "keep"


def test_a_previous_version_that_does_the_same_does_not_return():
    record = opposite(80, version="2")
    previous = record.assign(model_version="1")
    assert review_champion(record, previous, RULES).action == "keep"
