"""Where what is stored as one history is not one: level breaks, and gaps too long to bridge.

Nothing is computed across either: a redenomination, another coin under the old ticker or another
unit makes every indicator, label and volatility that spans it a number about nothing. A break
blocks its coin until somebody says that it is in order.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pandas as pd

LONGEST_GAP_DAYS = 20
"""Missing days after which indicators start anew."""
LARGEST_OVERNIGHT = np.log(3.0)
"""Of the open over the close before: 26 coins and LUNA's crash stay below 0.32."""
LARGEST_DAY = np.log(400.0)
"""Of the close over the close before, for sources whose opens repeat it: LUNA's worst is 5.4."""
LARGEST_ACROSS_GAP = np.log(20.0)
VOLUME_BARS = 20
APART = 6.0
"""Lowest volume after over highest before: 26 coins of two sources stay below 5.2."""

Frame = TypeVar("Frame", pd.DataFrame, pd.Series)


@dataclass(frozen=True)
class LevelBreak:
    """A day that opens on another level than the bar before left."""

    day: date
    before: date
    ratio: float
    what: str = "prices"

    def __str__(self) -> str:
        return f"on {self.day} {self.what} are {self.ratio:.4g} times those of {self.before}"


def level_breaks(bars: pd.DataFrame) -> tuple[LevelBreak, ...]:
    """Return the level breaks of bars that ascend by unique days, the oldest first.

    From one day to the next the open leaps by more than LARGEST_OVERNIGHT over the close before, or
    the close by more than LARGEST_DAY; after missing days the close by more than
    LARGEST_ACROSS_GAP. Without a column `open` by the closes alone.
    """
    index = pd.DatetimeIndex(bars.index)
    close = bars["close"].to_numpy(dtype=np.float64)
    opened = bars.get("open", bars["close"].shift()).to_numpy(dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        overnight = np.log(opened[1:] / close[:-1])
        daily = np.log(close[1:] / close[:-1])
    follows = _days_between(index) == 1
    leaps = follows & (np.abs(overnight) > LARGEST_OVERNIGHT)
    broken = leaps | np.where(
        follows, np.abs(daily) > LARGEST_DAY, np.abs(daily) > LARGEST_ACROSS_GAP
    )
    return tuple(
        LevelBreak(
            index[at + 1].date(),
            index[at].date(),
            float(np.exp(overnight[at] if leaps[at] else daily[at])),
        )
        for at in map(int, np.flatnonzero(broken))
    )


def volume_breaks(bars: pd.DataFrame) -> tuple[LevelBreak, ...]:
    """Return the days from which volume is counted in another unit, as it seems: in USD, say.

    All volumes of VOLUME_BARS bars from there on are more than APART times above, or below, all
    those of as many before; a volume of 0 is none.
    """
    volume = bars["volume"].where(bars["volume"] > 0)
    around = volume.rolling(VOLUME_BARS)
    high, low, ahead = around.max(), around.min(), 1 - VOLUME_BARS
    rises, falls = low.shift(ahead) / high.shift(), low.shift() / high.shift(ahead)
    ratio = around.median().shift(ahead) / around.median().shift()
    index = pd.DatetimeIndex(bars.index)
    return tuple(
        LevelBreak(index[at].date(), index[at - 1].date(), float(ratio.iloc[at]), "volumes")
        for at in map(int, np.flatnonzero((rises > APART) | (falls > APART)))
    )


def first_break(bars: pd.DataFrame, accepted: Collection[date]) -> LevelBreak | None:
    """Return the first level break that nobody has accepted; from its day the coin is blocked."""
    return next((one for one in level_breaks(bars) if one.day not in accepted), None)


def segment_begins(bars: pd.DataFrame) -> list[int]:
    """Return the positions at which indicators start anew, after the first bar's."""
    index = pd.DatetimeIndex(bars.index)
    broken = index[1:].isin([pd.Timestamp(one.day) for one in level_breaks(bars)])
    parted: np.ndarray = broken | (_days_between(index) > LONGEST_GAP_DAYS + 1)
    return [int(at) + 1 for at in np.flatnonzero(parted)]


def by_segment(bars: pd.DataFrame, compute: Callable[[pd.DataFrame], Frame]) -> Frame:
    """Compute over each stretch between level breaks and long gaps by itself, and join the parts.

    What `compute` gives at t must depend on bars of its own stretch alone.
    """
    begins: list[int] = segment_begins(bars)
    if not begins:
        return compute(bars)
    parts: list[Frame] = [
        compute(bars.iloc[first:end]) for first, end in pairwise([0, *begins, len(bars)])
    ]
    joined: Frame = pd.concat(parts)
    return joined


def _days_between(index: pd.DatetimeIndex) -> np.ndarray:
    return np.asarray(np.diff(index.to_numpy()) / np.timedelta64(1, "D"))
