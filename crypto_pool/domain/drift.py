"""How far inputs lie outside what was seen before: in training, or in all earlier rows."""

from dataclasses import dataclass

import pandas as pd

SPAN = (0.005, 0.995)
RECENT_ROWS = 30
FEWEST_EARLIER_ROWS = 200


@dataclass(frozen=True)
class Distance:
    """Of the input furthest outside its training span: by how many widths, and which it is."""

    widths: float
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
        value = row[self.low.index]
        beyond = (
            pd.concat([self.low - value, value - self.high], axis=1).max(axis=1).clip(lower=0.0)
        )
        widths = (beyond / (self.high - self.low)).where(beyond > 0, 0.0)
        furthest = str(widths.idxmax())
        most = float(widths.max())
        return Distance(most, furthest if most > 0 else "")

    def share_outside(self, rows: pd.DataFrame) -> pd.Series:
        """Give for each feature the share of rows outside; about 0.01 where nothing drifts."""
        inputs = rows[self.low.index]
        return ((inputs < self.low) | (inputs > self.high)).mean()


def unseen_share(features: pd.DataFrame, recent_rows: int = RECENT_ROWS) -> pd.Series:
    """Give for each feature the share of its latest rows outside the span of all earlier ones.

    Empty if fewer than 200 earlier rows are there to compare with.
    """
    earlier, recent = features.iloc[:-recent_rows], features.iloc[-recent_rows:]
    if len(earlier) < FEWEST_EARLIER_ROWS:
        return pd.Series(dtype=float)
    return InputSpan.of(earlier).share_outside(recent)
