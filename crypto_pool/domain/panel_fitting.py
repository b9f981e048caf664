"""Fits the panel: when, on which rows, and how.

The formulas are in docs/how-it-works.md, "The panel", stages 1 and 2.
"""

from datetime import date, timedelta

import numpy as np
import pandas as pd

from crypto_pool.domain.evaluation import brier_skill
from crypto_pool.domain.panel import (
    PanelFit,
    event_distances,
    realised_events,
    reference_probabilities,
    standardised_features,
    student_probability,
    trend_probabilities,
)
from crypto_pool.domain.panel_features import feature_columns, target_scale
from crypto_pool.domain.recipe import Target

ORIGIN_DAYS = 60
FIRST_ORIGIN_ROWS = 5 * 365
PREDICTED_RANGE = 0.8
"""Share of outcomes that the range is to hold."""
RANGE_RIDGE, RETURN_RIDGE, SPREAD_RIDGE = 0.1, 0.3, 1e-5
SMALLEST_DEVIATION = 1e-9


def panel_origins(table: pd.DataFrame, horizon: int, through: date) -> list[date]:
    """Return the days on which the panel is fitted, up to `through`.

    Every 60 days from the first by whose close 5 x 365 rows had a known label.
    """
    known = table.index.get_level_values("bar_date")[table["change"].notna().to_numpy()]
    if len(known) < FIRST_ORIGIN_ROWS:
        return []
    first = known.sort_values()[FIRST_ORIGIN_ROWS - 1].date() + timedelta(days=horizon)
    return later_origins(first, through)


def later_origins(first: date, through: date) -> list[date]:
    """Return the origins of a grid whose first is fixed, up to `through`."""
    count = (through - first).days // ORIGIN_DAYS + 1
    return [first + timedelta(days=ORIGIN_DAYS * number) for number in range(count)]


def fit_panel(table: pd.DataFrame, target: Target, origin: date) -> PanelFit:
    """Fit the rows of a panel table whose label was closed at the origin; later ones may be there.

    A feature without any value in those rows is left out.
    """
    dates = pd.DatetimeIndex(table.index.get_level_values("bar_date"))
    closed = dates + pd.Timedelta(days=target.horizon) <= pd.Timestamp(origin)
    known = table[["change", "ahead_range", "ahead_return"]].notna().all(axis=1)
    rows = table[closed & known.to_numpy()]
    features = [name for name in feature_columns(rows) if rows[name].notna().any()]
    scale = pd.DataFrame(
        {
            "mean": rows[features].mean(),
            "deviation": rows[features].std(ddof=0) + SMALLEST_DEVIATION,
        }
    )
    inputs = standardised_features(rows, scale)
    intercepts, weights = _ridges(
        inputs, rows[["ahead_range", "ahead_return"]].to_numpy(), (RANGE_RIDGE, RETURN_RIDGE)
    )
    volatility = intercepts.mean() + inputs @ weights.mean(axis=1)
    gap = np.log(rows["s60"].to_numpy()) - volatility
    gap_mean, gap_deviation = float(gap.mean()), float(gap.std()) + SMALLEST_DEVIATION
    level, spread = _fit_sigma(rows, target, volatility, (gap - gap_mean) / gap_deviation)
    sigma = np.exp(volatility + level + spread * (gap - gap_mean) / gap_deviation)
    distance = np.abs(rows["change"] - rows["position"]) / (target_scale(target) * sigma)
    return PanelFit(
        origin=origin,
        target=target,
        symbols=tuple(sorted(rows.index.get_level_values("symbol").unique())),
        rows=len(rows),
        coefficients=scale.assign(range_weight=weights[:, 0], return_weight=weights[:, 1]),
        range_intercept=float(intercepts[0]),
        return_intercept=float(intercepts[1]),
        level=level,
        spread=spread,
        gap_mean=gap_mean,
        gap_deviation=gap_deviation,
        range_width=float(distance.quantile(PREDICTED_RANGE)),
        skill=_skill(rows, target, sigma),
    )


def _ridges(
    inputs: np.ndarray, outcomes: np.ndarray, penalties: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return free intercepts and weights, a column for each column of `outcomes`.

    They minimise the mean squared error + penalty * |weights|^2.
    """
    centre, mean = inputs.mean(axis=0), outcomes.mean(axis=0)
    centred = inputs - centre
    covariance = centred.T @ centred / len(inputs)
    shared = centred.T @ (outcomes - mean) / len(inputs)
    identity = np.eye(len(centre))
    weights = np.column_stack(
        [
            np.linalg.solve(covariance + penalty * identity, column)
            for penalty, column in zip(penalties, shared.T, strict=True)
        ]
    )
    return mean - centre @ weights, weights


def _fit_sigma(
    rows: pd.DataFrame, target: Target, volatility: np.ndarray, gap: np.ndarray
) -> tuple[float, float]:
    """Return the level and spread of ln sigma of the lowest Brier score of both trends."""
    from scipy.optimize import minimize

    distance = event_distances(rows["position"].to_numpy(), target)
    events = realised_events(rows, target)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = distance / np.exp(volatility + parameters[0] + parameters[1] * gap)
        errors = student_probability(scaled) - events
        slope = -2 * errors * _density(scaled) * scaled  # by ln sigma
        ridge = SPREAD_RIDGE * parameters[1]
        gradient = np.array([slope.mean(), (slope * gap).mean() + 2 * ridge])
        return float(np.mean(errors**2) + ridge * parameters[1]), gradient

    fit = minimize(loss, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-7})
    return float(fit.x[0]), float(fit.x[1])


def _density(scaled: np.ndarray) -> np.ndarray:
    """Return Student's density with 5 degrees of freedom."""
    return np.asarray(8 / (3 * np.pi * np.sqrt(5)) * (1 + scaled**2 / 5) ** -3)


def _skill(rows: pd.DataFrame, target: Target, sigma: np.ndarray) -> float:
    """Return the Brier skill over the reference on the rows themselves."""
    events = realised_events(rows, target)
    ours = trend_probabilities(rows["position"].to_numpy(), sigma, target)
    errors = np.sum((np.asarray(ours) - events) ** 2, keepdims=True)
    reference = np.sum((reference_probabilities(rows, target) - events) ** 2, keepdims=True)
    return float(brier_skill(errors, reference).item())
