"""Promised against realised, on frames made by hand."""

import pandas as pd
import pytest

from crypto_pool.replay.scores import calibration_curve, summarise


def served(**columns) -> pd.DataFrame:
    rows = len(columns["outcome"])
    defaults = {
        "prediction_date": pd.date_range("2021-01-01", periods=rows),
        "symbol": ["BTC"] * rows,
        "trend": ["uptrend"] * rows,
        "algorithm": ["KNeighbors"] * rows,
        "reference_probability": [0.5] * rows,
        "panel_probability": [0.5] * rows,
        "promised_precision": [0.6] * rows,
        "promised_recall": [0.7] * rows,
        "promised_brier_score": [0.2] * rows,
        "status": ["active"] * rows,
    }
    frame = pd.DataFrame({**defaults, **columns})
    return frame.assign(signal=frame["probability"] > 0.5)


def test_figures_are_those_of_their_definition() -> None:
    figures = summarise(
        served(
            probability=[0.9, 0.8, 0.1],
            outcome=[1, 0, 1],
            promised_precision=[0.9, 0.5, 0.1],
            symbol=["BTC", "ETH", "BTC"],
        ),
        horizon=10,
    )
    assert (figures["n_predictions"], figures["n_flagged"]) == (3, 2)
    assert figures["promised_precision"] == pytest.approx(0.7)
    assert figures["realised_precision"] == pytest.approx(0.5)
    assert figures["precision_gap"] == pytest.approx(0.2)
    assert figures["realised_recall"] == pytest.approx(0.5)
    assert figures["realised_brier"] == pytest.approx((0.01 + 0.64 + 0.81) / 3)
    assert figures["skill_over_reference"] == pytest.approx(1 - (1.46 / 3) / 0.25)
    assert figures["skill_over_reference_interval"] is None  # three days hold no three blocks


def test_candidates_panel_and_pool_stand_side_by_side() -> None:
    """A candidate, a registered panel and the baseline of a member without a champion."""
    rows = served(
        probability=[0.9, 0.8, 0.7],
        panel_probability=[0.6, 0.8, 0.7],
        outcome=[1, 1, 1],
        algorithm=["KNeighbors", "Panel", "Panel"],
        status=["active", "active", "baseline"],
    )
    figures = summarise(rows, 10)
    assert (figures["n_predictions"], figures["n_baseline_forecasts"]) == (2, 1)
    assert figures["candidates_skill"] == pytest.approx(1 - 0.01 / 0.25)
    assert figures["panel_skill"] == pytest.approx(1 - (0.16 + 0.04 + 0.09) / 0.75)
    assert figures["skill_with_baseline"] == pytest.approx(1 - (0.01 + 0.04 + 0.09) / 0.75)
    assert figures["pool_over_panel"] == pytest.approx(1 - 0.14 / 0.29)


def test_undefined_figures_are_null() -> None:
    nothing = summarise(pd.DataFrame(), 10)
    quiet = summarise(served(probability=[0.1, 0.2], outcome=[0, 0]), 10)
    assert nothing.keys() == quiet.keys()
    for figures in (nothing, quiet):
        assert figures["promised_precision"] is None
        assert figures["realised_precision"] is None
        assert figures["precision_gap"] is None
    assert nothing["panel_skill"] is None
    assert nothing["n_predictions"] == 0


def test_the_calibration_curve_bins_what_was_said() -> None:
    curve = calibration_curve(served(probability=[0.05, 0.08, 0.95], outcome=[0, 1, 1]))
    assert [point["n_predictions"] for point in curve] == [2, 1]
    assert curve[0]["mean_probability"] == pytest.approx(0.065)
    assert curve[0]["realised_share"] == pytest.approx(0.5)
    assert calibration_curve(pd.DataFrame()) == []
