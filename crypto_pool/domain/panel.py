"""One model for all coins: how far the target moves in the days ahead, and both trends from it.

A pooled two-stage regression of the log volatility ahead, Student's t
with 5 degrees of freedom around the mechanical position less half the martingale drift. The
formulas, and what they were chosen against, are in docs/how-it-works.md, "The panel".

Everywhere here `position` is the log change that is expected of the target over its horizon and
`sigma` the daily volatility, both by row; a `move` is a fraction.
"""

from dataclasses import dataclass, field, fields
from datetime import date

import numpy as np
import pandas as pd

from crypto_pool.domain.members import Trend
from crypto_pool.domain.panel_features import target_scale
from crypto_pool.domain.recipe import ROUNDING, Target

DEGREES_OF_FREEDOM = 5
FEATURE_LIMIT = 5.0


@dataclass(frozen=True)
class PanelFit:
    """What the panel knew at its origin: all that a forecast needs, and nothing else.

    `coefficients` is by feature: mean, deviation, range_weight and return_weight (of the ridge
    regressions of the two measures of volatility). ln sigma = v + `level` + `spread` * z, where v
    is the mean of the two regressions and z = ln s60 - v, standardised by `gap_mean` and
    `gap_deviation`. `range_width`: 80 % of outcomes lay within so many scaled sigmas.
    """

    origin: date
    target: Target
    symbols: tuple[str, ...]
    rows: int
    coefficients: pd.DataFrame = field(repr=False)
    range_intercept: float
    return_intercept: float
    level: float
    spread: float
    gap_mean: float
    gap_deviation: float
    range_width: float
    skill: float
    """Brier skill over the reference on the rows it was fitted on."""

    def to_frame(self) -> pd.DataFrame:
        """Return the fit as a table: the coefficients by feature, all else beside each."""
        values = {name: getattr(self, name) for name in _NUMBERS}
        return self.coefficients.rename_axis("feature").assign(
            origin=self.origin,
            symbols=",".join(self.symbols),
            target=self.target.kind,
            target_pct=self.target.pct,
            horizon=self.target.horizon,
            **values,
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "PanelFit":
        """Read what `to_frame` returned."""
        first = frame.iloc[0]
        return cls(
            origin=first["origin"],
            target=Target(first["target"], float(first["target_pct"]), int(first["horizon"])),
            symbols=tuple(first["symbols"].split(",")),
            coefficients=frame[["mean", "deviation", "range_weight", "return_weight"]],
            **{name: float(first[name]) for name in _NUMBERS if name != "rows"},
            rows=int(first["rows"]),
        )


_NUMBERS = tuple(one.name for one in fields(PanelFit) if one.type in (int, float))


def forecast_sigma(fit: PanelFit, table: pd.DataFrame) -> np.ndarray:
    """Return the daily volatility expected of rows of features and s60."""
    inputs = standardised_features(table, fit.coefficients)
    weights = fit.coefficients[["range_weight", "return_weight"]].to_numpy().mean(axis=1)
    volatility = (fit.range_intercept + fit.return_intercept) / 2 + inputs @ weights
    gap = np.log(table["s60"].to_numpy()) - volatility
    spread = fit.spread * (gap - fit.gap_mean) / fit.gap_deviation
    return np.asarray(np.exp(volatility + fit.level + spread))


def forecast_panel(fit: PanelFit, table: pd.DataFrame) -> pd.DataFrame:
    """Return the forecast of rows of a panel table, as the table panel_forecasts holds it."""
    sigma = forecast_sigma(fit, table)
    position = table["position"].to_numpy()
    up, down = trend_probabilities(position, sigma, fit.target)
    return pd.DataFrame(
        {
            "panel_up": up,
            "panel_down": down,
            "sigma": sigma,
            "position": position,
            "drift": position - table["mechanical_position"].to_numpy(),
            "level_usd": table["level"].to_numpy(),
            **expected_change(position, sigma, fit.range_width, fit.target),
            "origin": fit.origin,
            "target": fit.target.kind,
            "target_pct": fit.target.pct,
            "prediction_window_days": fit.target.horizon,
        },
        index=table.index,
    )


def exceedance_probability(
    position: np.ndarray, sigma: np.ndarray, move: float, target: Target
) -> np.ndarray:
    """Return P(change >= move), the change of the target over its horizon as a fraction."""
    scaled = (position - np.log1p(move)) / (target_scale(target) * sigma)
    return student_probability(scaled)


def trend_probabilities(
    position: np.ndarray, sigma: np.ndarray, target: Target
) -> tuple[np.ndarray, np.ndarray]:
    """Return P(uptrend) and P(downtrend), both from one sigma."""
    up, down = student_probability(event_distances(position, target) / sigma)
    return up, down


def expected_change(
    position: np.ndarray, sigma: np.ndarray, range_width: float, target: Target
) -> dict[str, np.ndarray]:
    """Return the 10 %, 50 % and 90 % points of the target's change, as fractions, by name."""
    reach = target_scale(target) * sigma * range_width
    return {
        "change_10_pct": np.expm1(position - reach),
        "change_50_pct": np.expm1(position),
        "change_90_pct": np.expm1(position + reach),
    }


def split_probability(
    forecasts: pd.DataFrame, reference: pd.Series, trend: Trend, target: Target
) -> pd.DataFrame:
    """Return how far reference, volatility and drift each move the panel's probability.

    By row, in probability: the reference from even odds, the panel's sigma and tails from there,
    the drift from there. 0.5 and the three add up to the panel's probability. `forecasts` are rows
    of panel_forecasts of one coin, and `reference` the random walk's probability of the trend.
    """
    number = list(Trend).index(trend)
    position, sigma = forecasts["position"].to_numpy(), forecasts["sigma"].to_numpy()
    without_drift = position - forecasts["drift"].to_numpy()
    undrifted = trend_probabilities(without_drift, sigma, target)[number]
    served = trend_probabilities(position, sigma, target)[number]
    known = reference.to_numpy(dtype=np.float64)
    return pd.DataFrame(
        {"reference": known - 0.5, "volatility": undrifted - known, "drift": served - undrifted},
        index=forecasts.index,
    )


def standardised_features(table: pd.DataFrame, scale: pd.DataFrame) -> np.ndarray:
    """Return rows x features in training deviations, clipped; a missing value is the mean.

    So is a feature that the table does not have, as BTC's in a pool that it has left.
    """
    values = table.reindex(columns=scale.index).to_numpy(dtype=np.float64)
    standard = (values - scale["mean"].to_numpy()) / scale["deviation"].to_numpy()
    return np.asarray(np.nan_to_num(np.clip(standard, -FEATURE_LIMIT, FEATURE_LIMIT)))


def reference_probabilities(table: pd.DataFrame, target: Target) -> np.ndarray:
    """Return the random-walk reference of both trends for rows of a panel table, 2 x rows."""
    distance = event_distances(table["mechanical_position"].to_numpy(), target)
    return _normal(distance / table["s60"].to_numpy())


def reference_exceedance(table: pd.DataFrame, move: float, target: Target) -> np.ndarray:
    """Return the reference's P(change >= move) for rows of a panel table."""
    distance = table["mechanical_position"].to_numpy() - np.log1p(move)
    return _normal(distance / (target_scale(target) * table["s60"].to_numpy()))


def student_probability(scaled: np.ndarray) -> np.ndarray:
    """Return Student's distribution function with 5 degrees of freedom.

    In closed form (Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3).
    """
    angle = np.arctan(scaled / np.sqrt(DEGREES_OF_FREEDOM))
    cosine = np.cos(angle)
    below = 0.5 + (angle + np.sin(angle) * cosine * (1 + 2 / 3 * cosine**2)) / np.pi
    return np.asarray(np.clip(below, 0, 1))


def _normal(scaled: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return np.asarray(ndtr(scaled))


def event_distances(position: np.ndarray, target: Target) -> np.ndarray:
    """Return how far both trends are within reach, in units of `target_scale`, 2 x rows."""
    up, down = np.log1p(target.pct), np.log1p(-target.pct)
    return np.array([position - up, down - position]) / target_scale(target)


def realised_events(rows: pd.DataFrame, target: Target) -> np.ndarray:
    """Return which of both trends came, 2 x rows, by the log change in the column `change`."""
    change = rows["change"].to_numpy()
    up, down = np.log1p(target.pct) - ROUNDING, np.log1p(-target.pct) + ROUNDING
    return np.array([change >= up, change <= down])
