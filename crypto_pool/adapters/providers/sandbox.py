"""Bars of the synthetic market."""

from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from crypto_pool.sandbox.market import GENERATOR_VERSION, SyntheticMarket


@dataclass(frozen=True)
class SandboxProvider:
    """Any coin one cares to name, made up."""

    market: SyntheticMarket = field(default_factory=SyntheticMarket)
    synthetic = True

    @property
    def source(self) -> str:
        """All that the bars depend on."""
        market = self.market
        return (
            f"sandbox:seed={market.seed},predictability={market.predictability},"
            f"random_walk={str(market.random_walk).lower()},epoch={market.epoch},"
            f"generator={GENERATOR_VERSION}"
            + ("" if market.trending_share == 1 else f",trending_share={market.trending_share}")
        )

    def daily_bars(self, symbol: str, last_closed: date) -> pd.DataFrame:
        """Bars from the market's epoch through `last_closed`."""
        return self.market.bars(symbol, last_closed)
