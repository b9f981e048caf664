"""Sources of daily bars, behind one protocol."""

from datetime import date
from typing import Protocol

import pandas as pd


class MarketDataProvider(Protocol):
    """Where daily bars come from."""

    @property
    def source(self) -> str:
        """Identity of the source; bars of two identities never share a data folder."""

    @property
    def synthetic(self) -> bool:
        """Whether the bars are made up, which is said wherever they show."""

    def daily_bars(self, symbol: str, last_closed: date) -> pd.DataFrame:
        """Bars as the source has them, not validated, at least through `last_closed`.

        Float columns open, high, low, close, volume; naive DatetimeIndex named
        `date`. Order, duplicates, gaps and bars after `last_closed` are left to
        the validation. Raises UnknownSymbol or InvalidBars.
        """
