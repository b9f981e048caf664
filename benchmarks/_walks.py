"""Members whose truth is known: walks of 4 % a day, the reference, and noise in its logit."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, ndtr

from crypto_pool.domain.label_windows import SMA_DAYS
from crypto_pool.domain.reference import VOLATILITY_DAYS, logit

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


def walks(random: np.random.Generator, days: int, count: int = 1) -> list[Walk]:
    """Return random walks of so many labelled days: `random_walk_probability` and `label_target`.

    Worked out for all of them at once, as a simulation of thousands asks for.
    """
    shape = count, BEFORE + days + HORIZON
    moves = random.normal(0, DAILY_VOLATILITY, shape)
    close = 100 * np.exp(np.cumsum(moves, axis=1))
    average = _rolling_mean(close, SMA_DAYS)
    squares = _rolling_mean(moves**2, VOLATILITY_DAYS)
    variance = squares - _rolling_mean(moves, VOLATILITY_DAYS) ** 2
    sigma = np.sqrt(variance * VOLATILITY_DAYS / (VOLATILITY_DAYS - 1))
    now, later = (slice(first, first + days) for first in (BEFORE, BEFORE + HORIZON))
    distance = np.log(close[:, now] / average[:, now]) - np.log(1.05)
    reference = ndtr(distance / (np.sqrt(3.85) * sigma[:, now]))
    label = (average[:, later] / average[:, now] - 1 >= 0.05).astype(float)
    index = pd.date_range("2020-01-01", periods=shape[1])[now]
    return [Walk(index, one, what) for one, what in zip(reference, label, strict=True)]


def _rolling_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Return the mean of the last so many columns, NaN where there are fewer."""
    running = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    mean = np.full(values.shape, np.nan)
    mean[:, width - 1 :] = (running[:, width:] - running[:, :-width]) / width
    return mean


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
