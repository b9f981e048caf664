"""A provider of my own: the bars of all coins in one Parquet file."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from crypto_pool.adapters.providers import Provider
from crypto_pool.errors import UnknownSymbol


@dataclass(frozen=True)
class OneFile:
    """Daily bars of a file with a column `symbol`."""

    file: Path
    synthetic: bool = False

    @property
    def source(self) -> str:
        """All that the bars depend on."""
        return f"one_file:{self.file.name}"

    def daily_bars(self, symbol: str, last_closed: date) -> pd.DataFrame:
        """Bars as the file has them."""
        bars = pd.read_parquet(self.file, filters=[("symbol", "==", symbol)])
        if bars.empty:
            raise UnknownSymbol(f"{symbol}: {self.file} has no row of it")
        return bars.set_index("date")[["open", "high", "low", "close", "volume"]]


def _build(settings: Any) -> OneFile:
    return OneFile(settings.market_data_dir / "bars.parquet")


provider = Provider("one_file", _build)
