"""Sources of daily bars, behind one protocol."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pandas as pd

if TYPE_CHECKING:
    from crypto_pool.adapters.rate_limit import PullPlan, RequestBudget


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


@runtime_checkable
class MeteredProvider(MarketDataProvider, Protocol):
    """A provider whose requests are counted, and which has indicators of its own."""

    budget: "RequestBudget"

    def indicators(self, symbol: str) -> pd.DataFrame:
        """The columns of `compute_indicators(match_provider=True)`; raises ProviderError."""

    def requests_needed(self, symbol: str, with_indicators: bool) -> int:
        """Requests a pull of the coin costs now; an answer of today costs none."""

    def plan_pull(
        self, symbols: Sequence[str], last_bars: Mapping[str, date], with_indicators: bool
    ) -> "PullPlan":
        """What can be pulled today, most stale first."""
