"""A provider that nobody counts the requests of."""

from dataclasses import dataclass
from datetime import date

import pandas as pd


@dataclass
class BarSource:
    """A provider of the bars it holds, of whatever coin."""

    bars: pd.DataFrame
    source: str = "test"
    synthetic: bool = True

    def daily_bars(self, symbol: str, last_closed: date) -> pd.DataFrame:
        return self.bars
