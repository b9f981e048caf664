"""Figures of fixed samples: whoever changes one changes it in every pool, and says so."""

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.evaluation import evaluation_metrics
from crypto_pool.domain.intervals import block_ratio, metric_intervals, paired_difference
from crypto_pool.domain.overfitting import correct_promise, gain_test, probability_of_overfitting
from crypto_pool.domain.panel_skill import (
    panel_skill,
    range_coverage,
    score_panel,
    skill_by_move,
)
from crypto_pool.domain.performance import measure
from crypto_pool.domain.review import ReviewRules, review_champion
from crypto_pool.domain.selection import choose_winner
from crypto_pool_tests.domain.evaluations import blurred, frame
from crypto_pool_tests.domain.live_forecasts import scored
from crypto_pool_tests.domain.panel_market import TARGET, market_table, walk_forward

BASELINE = "RandomWalk"


def judged(seed: int) -> dict[str, pd.DataFrame]:
    """The reference as baseline, one candidate that knows a little, and three that know nothing."""
    base, random = frame(seed), np.random.default_rng(seed)
    reference = base["reference_probability"]
    knowing = blurred((0.9 * reference + 0.1 * base["label"]).to_numpy(), random, 0.2)
    noise = {
        f"N{number}": base.assign(probability=blurred(reference.to_numpy(), random, 0.3))
        for number in range(3)
    }
    return {
        BASELINE: base.assign(probability=reference),
        "Knowing": base.assign(probability=knowing),
        **noise,
    }


def rounded(values) -> list[float | None]:
    return [None if one is None else round(float(one), 6) for one in values]


def days_of_coins() -> tuple[np.ndarray, np.ndarray, pd.DatetimeIndex]:
    """Gains and rows of three coins a day over 95 days, those of a day and its next alike."""
    random = np.random.default_rng(3)
    daily = np.convolve(random.normal(size=96), [0.5, 0.5], mode="valid")
    part = np.repeat(daily, 3) + 0.2 * random.normal(size=285) + 0.3
    return (
        part,
        np.ones(285),
        pd.DatetimeIndex(np.repeat(pd.date_range("2024-01-01", periods=95), 3)),
    )


@pytest.mark.parametrize(
    ("winner", "selection", "serves_at", "promised"),
    [
        (
            BASELINE,
            "one_standard_error",
            None,
            {
                "precision": [0.367188, 0.171953, 0.562422],
                "recall": [0.405172, 0.23693, 0.573415],
                "brier_score": [0.140026, 0.102732, 0.177319],
                "skill_over_reference": [0.0, 0.0, 0.0],
            },
        ),
        (
            "Knowing",
            "one_standard_error",
            0.45,
            {
                "precision": [0.455501, 0.194485, 0.706112],
                "recall": [0.646508, 0.520067, 0.772895],
                "brier_score": [0.12252, 0.084579, 0.160544],
                "skill_over_reference": [0.12502, 0.063254, 0.184274],
            },
        ),
        (
            "N2",
            "best",
            0.45,
            {
                "precision": [0.400617, 0.203551, 0.585221],
                "recall": [0.552164, 0.421134, 0.688051],
                "brier_score": [0.140168, 0.101077, 0.185675],
                "skill_over_reference": [-0.001011, -0.187227, 0.083601],
            },
        ),
    ],
)
def test_of_a_promise(winner, selection, serves_at, promised):
    found = correct_promise(
        judged(5), winner, baseline=BASELINE, selection=selection, serves_at=serves_at
    ).promised
    assert {name: rounded(one) for name, one in found.items()} == promised


def test_of_a_choice():
    evaluations = judged(5)
    assert choose_winner(evaluations, BASELINE, "one_standard_error") == (
        "Knowing",
        "Knowing is the best of 1 above RandomWalk: Brier loss lower by 0.0175, "
        "0.0068 is needed (1.64 standard errors), on 660 rows",
    )
    losses = {
        name: (rows["probability"] - rows["label"]) ** 2 for name, rows in evaluations.items()
    }
    gains = np.column_stack([losses[BASELINE] - losses[name] for name in ("Knowing", "N0", "N1")])
    test = gain_test(gains, 30)
    assert rounded(test.gain) == [0.017535, -0.034404, -0.006076]
    assert rounded(test.standard_error) == [0.004134, 0.007094, 0.003455]
    assert rounded(test.needed) == rounded(test.critical * test.standard_error)


def test_of_overfitting():
    found = []
    for seed in (0, 1, 10):
        rows = judged(seed)
        errors = [(rows[name].probability - rows[name].label) ** 2 for name in ("N0", "N1", "N2")]
        errors = np.column_stack(errors)
        found += [probability_of_overfitting(errors[:number], 20) for number in (660, 400)]
    assert rounded(found) == [0.337302, 0.45, 0.25, 0.2, 0.444444, 0.4]


def test_of_metrics_and_their_intervals():
    rows = judged(5)["N0"]
    figures = evaluation_metrics(rows)
    intervals = {name: rounded(ends) for name, ends in metric_intervals(rows, 20).items()}
    found = {
        name: [None if figures.get(name) is None else round(float(figures[name]), 6), *ends]
        for name, ends in intervals.items()
    }
    assert found == {
        "accuracy": [0.7, 0.606061, 0.7925],
        "precision": [0.240506, 0.088048, 0.409932],
        "positive_accuracy": [0.327586, 0.148842, 0.5],
        "negative_accuracy": [0.779412, 0.669933, 0.876803],
        "overall_score": [0.420361, 0.309632, 0.53246],
        "brier_score": [0.174429, 0.13023, 0.221424],
        "reference_brier_score": [None, 0.105956, 0.176437],
        "log_loss": [0.505627, 0.392277, 0.623016],
        "base_rate": [0.175758, 0.095455, 0.260606],
        "skill_over_reference": [None, -0.291103, -0.196518],
    }
    counts = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    assert [figures[name] for name in (*counts, "slice_size")] == [38, 120, 424, 78, 660]
    assert round(figures["roc_auc"], 6) == 0.700811


@pytest.mark.parametrize(
    ("block_days", "blocks", "error", "interval", "p_value"),
    [
        (10, 9, 0.127243, [0.223498, -0.013117, 0.460114], 0.058538),
        (30, 3, 0.115024, [0.223498, -0.11237, 0.559367], 0.095739),
        (40, 2, 0.155563, [0.223498, None, None], 0.193551),
    ],
)
def test_of_a_ratio_by_blocks(block_days, blocks, error, interval, p_value):
    found = block_ratio(*days_of_coins(), block_days)
    assert (found.blocks, round(found.standard_error, 6)) == (blocks, error)
    assert rounded(found.interval()) == interval
    assert round(found.p_value(), 6) == p_value


def test_of_a_ratio_without_blocks_or_without_error():
    part, whole, days = days_of_coins()
    assert np.isnan(block_ratio(part, whole, days, 60).standard_error)
    assert block_ratio(part, np.zeros(len(whole)), days, 10) is None
    for value, p_value in ((0.25, 0.0), (0.0, 1.0), (-0.25, 1.0)):
        same = block_ratio(np.full(len(whole), value), whole, days, 10)
        assert (same.value, same.standard_error, same.p_value()) == (value, 0.0, p_value)


def test_of_a_share_and_a_paired_difference():
    part, whole, days = days_of_coins()
    share = block_ratio((part > 0.9).astype(float), whole, days, 10)
    assert rounded(share.share_interval(285)) == [0.178947, 0.105749, 0.286576]
    assert rounded(share.share_interval(20)) == [0.178947, 0.071684, 0.380863]
    daily = pd.Series(part, index=days)
    assert rounded(paired_difference(daily, 30)) == [0.223498, 0.109772, 0.356266]
    assert rounded(paired_difference(daily, 30, student=True)) == [0.223498, 0.031811, 0.447281]


def test_of_the_panel():
    table = market_table()
    forecasts = walk_forward(table)
    found = score_panel(forecasts, table, TARGET)
    assert rounded(panel_skill(found)) == [0.022095, 0.007639, 0.037375]
    assert rounded(range_coverage(found)) == [0.779532, 0.706404, 0.84269]
    by_move = skill_by_move(forecasts, table, TARGET, [-0.1, 0.0, 0.05])
    assert rounded(by_move.values()) == [-0.015266, -0.000523, 0.040073]


def test_of_what_came_of_forecasts():
    row = measure(scored(240, seed=4, bias=0.1), 10).row()
    found = {name: round(value, 6) for name, value in row.items() if isinstance(value, float)}
    assert found == {
        "effective_sample_size": 12.0,
        "precision": 0.324324,
        "precision_low": 0.162799,
        "precision_high": 0.542301,
        "promised_precision": 0.6,
        "recall": 0.333333,
        "recall_low": 0.238218,
        "recall_high": 0.444277,
        "promised_recall": 0.5,
        "brier_score": 0.210166,
        "brier_score_low": 0.13504,
        "brier_score_high": 0.285293,
        "promised_brier_score": 0.15,
        "reference_brier_score": 0.2181,
        "skill_over_reference": 0.036376,
        "skill_over_reference_low": -0.144532,
        "skill_over_reference_high": 0.217284,
        "promised_skill_over_reference": 0.01,
        "base_rate": 0.3,
        "mean_probability": 0.309922,
        "p_value": 0.673163,
        "skill_with_baseline": 0.036376,
        "skill_with_baseline_low": -0.144532,
        "skill_with_baseline_high": 0.217284,
    }


def test_of_a_review():
    record = scored(240, seed=4, bias=0.1)
    review = review_champion(record, record.iloc[:0], ReviewRules())
    assert (review.action, review.reason) == (
        "keep",
        "by luck alone one as good as the reference does this badly in 67 of 100, and only what "
        "comes in 1 of 690 condemns (Brier score 0.2102 against the reference's 0.2181 on 240 "
        "live forecasts, 12.0 separate label windows)",
    )
    levels = [ReviewRules().level(days) for days in (100, 350, 351, 400)]
    assert levels == pytest.approx([1.955e-06, 0.00680419, 0.00255513, 0.00255513], rel=1e-3)
