"""Members whose truth is known: walks of 4 % a day, the reference, and noise in its logit."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from crypto_pool.domain.labels import label_target
from crypto_pool.domain.market import Trend
from crypto_pool.domain.reference import logit, random_walk_probability

DAILY_VOLATILITY = 0.04
BEFORE, HORIZON = 70, 10


@dataclass(frozen=True)
class Walk:
    """Bar dates of one member with the reference's forecast and what came."""

    index: pd.DatetimeIndex
    reference: np.ndarray
    label: np.ndarray

    @property
    def logit(self) -> np.ndarray:
        """The reference's clipped log odds."""
        return np.asarray(logit(pd.Series(self.reference)))

    @property
    def served(self) -> np.ndarray:
        """What a champion that is the reference itself serves."""
        return np.asarray(expit(self.logit))


def walk(random: np.random.Generator, days: int) -> Walk:
    """Return a random walk of so many labelled days."""
    length = BEFORE + days + HORIZON
    close = 100 * np.exp(np.cumsum(random.normal(0, DAILY_VOLATILITY, length)))
    index = pd.date_range("2020-01-01", periods=length)
    bars = pd.DataFrame({name: close for name in ("open", "high", "low", "close")}, index=index)
    known = index[BEFORE : BEFORE + days]
    reference = random_walk_probability(bars, Trend.UPTREND)
    label = label_target(bars, Trend.UPTREND)
    return Walk(known, reference.loc[known].to_numpy(), label.loc[known].to_numpy())


def noise(random: np.random.Generator, days: int, half_life: float, count: int = 1) -> np.ndarray:
    """Return rows of noise of unit variance that forgets half of itself in `half_life` days."""
    kept = 0.5 ** (1 / half_life)
    shocks = random.normal(size=(count, days)) * np.sqrt(1 - kept**2)
    made = np.empty((count, days))
    made[:, 0] = random.normal(size=count)
    for day in range(1, days):
        made[:, day] = kept * made[:, day - 1] + shocks[:, day]
    return made


def evaluation(member: Walk, probability: np.ndarray, threshold: np.ndarray) -> pd.DataFrame:
    """Return the frame a candidate is judged by."""
    return pd.DataFrame(
        {
            "label": member.label.astype(int),
            "probability": probability,
            "reference_probability": member.served,
            "decision_threshold": threshold,
        },
        index=member.index,
    )
