"""How far inputs lie outside what was seen before: in training, or in all earlier rows."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crypto_pool.domain.reference import VOLATILITY_DAYS

SPAN = (0.005, 0.995)
RECENT_ROWS = 30
FEWEST_EARLIER_ROWS = 200
IN_PRICE_UNITS = ("MACD", "MACD_Signal", "MACD_Hist")
SHOCK_SIGMAS = 10.0


def per_price(features: pd.DataFrame, closes: pd.Series) -> pd.DataFrame:
    """Return the features with those in units of the price divided by the day's close.

    What is half the price in one year and a tenth of it in another is no other input.
    """
    scaled = [name for name in IN_PRICE_UNITS if name in features]
    return features.assign(**features[scaled].div(closes.reindex(features.index), axis=0))


def shock_sigmas(closes: pd.Series) -> float:
    """Return the size of the last log return in standard deviations of the 60 before; 0 without."""
    returns = np.log(closes.tail(VOLATILITY_DAYS + 2)).diff().dropna()
    sigma = float(returns.iloc[:-1].std()) if len(returns) == VOLATILITY_DAYS + 1 else math.nan
    return abs(float(returns.iloc[-1])) / sigma if sigma > 0 else 0.0


@dataclass(frozen=True)
class Distance:
    """Of the input furthest outside its training span: by how many widths, and which it is."""

    ood_distance: float
    feature: str


@dataclass(frozen=True)
class InputSpan:
    """The central 99 % of each feature over a model's training rows."""

    low: pd.Series
    high: pd.Series

    @classmethod
    def of(cls, training: pd.DataFrame) -> "InputSpan":
        """Measure the span of training rows."""
        return cls(training.quantile(SPAN[0]), training.quantile(SPAN[1]))

    def distance(self, row: pd.Series) -> Distance:
        """Give how far a row lies outside, 0.0 and no feature if it lies inside.

        Measured for each feature in widths of its own span; the largest counts. A feature
        that was constant in training has no width: any other value is infinitely far.
        """
        low, high = self.low.to_numpy(), self.high.to_numpy()
        value = row[self.low.index].to_numpy()
        beyond, width = np.fmax(low - value, value - high), high - low
        widths = np.zeros(len(low))
        with np.errstate(divide="ignore"):
            np.divide(beyond, width, out=widths, where=(beyond > 0) & ~np.isnan(width))
        furthest = int(widths.argmax())
        most = float(widths[furthest])
        return Distance(most, str(self.low.index[furthest]) if most > 0 else "")

    def share_outside(self, rows: pd.DataFrame) -> pd.Series:
        """Give for each feature the share of rows outside; about 0.01 where nothing drifts."""
        inputs = rows[self.low.index]
        return ((inputs < self.low) | (inputs > self.high)).mean()


def abstention_reason(distance: Distance, shock: float, limit: float | None) -> str:
    """Say why a forecast abstains after a move of so many sigmas, nothing if it does not.

    `limit` is how many widths an input may lie outside; None: however far.
    """
    if shock >= SHOCK_SIGMAS:
        return f"the price moved by {shock:.1f} of its daily sigmas, {SHOCK_SIGMAS:g} is the limit"
    if limit is not None and distance.ood_distance > limit:
        return (
            f"{distance.feature} lies {distance.ood_distance:.1f} widths of its training span "
            f"outside, {limit:g} is the limit"
        )
    return ""


def unseen_share(features: pd.DataFrame, recent_rows: int = RECENT_ROWS) -> pd.Series:
    """Give for each feature the share of its latest rows outside the span of all earlier ones.

    Empty if fewer than 200 earlier rows are there to compare with.
    """
    earlier, recent = features.iloc[:-recent_rows], features.iloc[-recent_rows:]
    if len(earlier) < FEWEST_EARLIER_ROWS:
        return pd.Series(dtype=float)
    return InputSpan.of(earlier).share_outside(recent)
