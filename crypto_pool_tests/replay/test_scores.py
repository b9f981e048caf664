"""Promised against realised, on frames made by hand."""

import numpy as np
import pandas as pd
import pytest

from crypto_pool.replay.scores import calibration_curve, summarise


def served(**columns) -> pd.DataFrame:
    rows = len(columns["label"])
    defaults = {
        "symbol": ["BTC"] * rows,
        "trend": ["uptrend"] * rows,
        "reference_probability": [0.5] * rows,
        "base_rate": [0.25] * rows,
        "promised_precision": [0.6] * rows,
        "promised_recall": [0.7] * rows,
        "promised_brier_score": [0.2] * rows,
        "status": ["active"] * rows,
    }
    index = pd.date_range("2021-01-01", periods=rows, name="date")
    frame = pd.DataFrame({**defaults, **columns}, index=index)
    return frame.assign(flagged=frame["probability"] > 0.5)


def test_abstained_and_baseline_forecasts_are_counted_apart() -> None:
    rows = served(probability=[0.9, 0.8, 0.1, 0.7], label=[1, 0, 0, 1])
    rows["status"] = ["active", "abstain", "baseline", "active"]
    figures = summarise(rows, 10)
    assert (figures["n_predictions"], figures["n_flagged"]) == (2, 2)
    assert (figures["n_abstentions"], figures["n_baseline_forecasts"]) == (1, 1)
    assert figures["realised_precision"] == 1.0
    assert figures["skill_with_baseline"] == pytest.approx(1 - (0.01 + 0.01 + 0.09) / 0.75)


def test_figures_are_those_of_their_definition() -> None:
    figures = summarise(
        served(
            probability=[0.9, 0.8, 0.1, 0.7],
            label=[1, 0, 1, np.nan],
            promised_precision=[0.9, 0.5, 0.1, 0.0],
            symbol=["BTC", "ETH", "BTC", "BTC"],
        ),
        horizon=10,
    )
    assert figures["n_predictions"] == 3  # the fourth has no outcome yet
    assert figures["n_flagged"] == 2
    assert figures["n_members_with_champion"] == 2
    assert figures["promised_precision"] == pytest.approx(0.7)
    assert figures["realised_precision"] == pytest.approx(0.5)
    assert figures["realised_recall"] == pytest.approx(0.5)
    assert figures["realised_brier"] == pytest.approx((0.01 + 0.64 + 0.81) / 3)
    assert figures["reference_brier"] == pytest.approx(0.25)
    assert figures["base_rate_brier"] == pytest.approx((2 * 0.75**2 + 0.25**2) / 3)
    assert figures["skill_over_reference"] == pytest.approx(1 - (1.46 / 3) / 0.25)
    assert figures["skill_over_reference_interval"] is None  # three days hold no three blocks


def test_undefined_figures_are_null() -> None:
    figures = summarise(served(probability=[0.1, 0.2], label=[0, 1]), horizon=10)
    assert figures["promised_precision"] is None
    assert figures["realised_precision"] is None
    assert figures["realised_recall"] == 0.0
    empty = summarise(pd.DataFrame(), horizon=10)
    assert set(empty) == set(figures)
    assert empty["realised_brier"] is None
    assert empty["n_predictions"] == 0


def test_coins_of_one_day_add_no_certainty() -> None:
    """A second coin with the same errors leaves the interval as it was."""
    random = np.random.default_rng(1)
    label = (random.random(400) < 0.4).astype(float)
    one = served(probability=np.clip(0.4 + 0.2 * (label - 0.4), 0, 1), label=label)
    noisy = one.assign(probability=random.random(400))
    both = pd.concat([noisy, noisy.assign(symbol="ETH")])
    alone, doubled = (
        summarise(frame, 10)["skill_over_reference_interval"] for frame in (noisy, both)
    )
    assert alone == pytest.approx(doubled)
    assert alone[0] < summarise(noisy, 10)["skill_over_reference"] < alone[1]


def test_calibration_curve_counts_each_known_forecast_once() -> None:
    curve = calibration_curve(
        served(probability=[0.0, 0.05, 0.95, 1.0, 0.5], label=[0, 1, 1, 1, np.nan])
    )
    assert [point["n_predictions"] for point in curve] == [2, 2]
    assert [point["realised_share"] for point in curve] == [0.5, 1.0]
