"""Sources of daily bars, behind one protocol."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from crypto_pool.errors import (
    CryptoPoolError,
    InvalidSetting,
    MalformedAnswer,
    ProviderError,
    let_interrupts_pass,
)

if TYPE_CHECKING:
    import pandas as pd

    from crypto_pool.adapters.pull_plan import PullPlan
    from crypto_pool.adapters.rate_limit import RequestBudget

BUILT_IN = ("sandbox", "directory", "alpha_vantage", "exchange")


class MarketDataProvider(Protocol):
    """Where daily bars come from."""

    @property
    def source(self) -> str:
        """Identity of the source; bars of two identities never share a data folder."""

    @property
    def synthetic(self) -> bool:
        """Whether the bars are made up, which is said wherever they show."""

    def daily_bars(self, symbol: str, last_closed: date) -> "pd.DataFrame":
        """Bars as the source has them, not validated, at least through `last_closed`.

        Float columns open, high, low, close, volume; naive DatetimeIndex named
        `date`. Order, duplicates, gaps and bars after `last_closed` are left to
        the validation. Raises UnknownSymbol or InvalidBars.
        """


@runtime_checkable
class MeteredProvider(MarketDataProvider, Protocol):
    """A provider whose requests are counted, and which has indicators of its own."""

    budget: "RequestBudget"

    def indicators(self, symbol: str) -> "pd.DataFrame":
        """The columns of `compute_indicators(match_provider=True)`; raises ProviderError."""

    def requests_needed(self, symbol: str, with_indicators: bool) -> int:
        """Requests a pull of the coin costs now; an answer of today costs none."""

    def plan_pull(
        self, symbols: Sequence[str], last_bars: Mapping[str, date], with_indicators: bool
    ) -> "PullPlan":
        """What can be pulled today, most stale first."""


@dataclass(frozen=True)
class Provider:
    """A provider of an extension: `build(settings)` makes it, by the setting `provider`."""

    name: str
    build: Callable[[Any], MarketDataProvider]
    code: str = ""

    def check(self) -> None:
        """Raise InvalidSetting for what is no provider."""
        if not callable(self.build):
            raise InvalidSetting(f"provider {self.name}: build must be a function of the settings")

    def of(self, settings: Any) -> "ExtensionProvider":
        """Make it; raises ProviderError with its name, whatever goes wrong in it."""
        with _named(self.name):
            made = self.build(settings)
            source, synthetic = made.source, made.synthetic
        if not (isinstance(source, str) and source and isinstance(synthetic, bool)):
            raise ProviderError(
                f"the provider {self.name}: source must be a text and synthetic true or false, "
                f"they are {source!r} and {synthetic!r}"
            )
        return ExtensionProvider(self.name, source, synthetic, made)


@dataclass(frozen=True)
class ExtensionProvider:
    """What a provider of an extension made; whatever goes wrong in it is a ProviderError."""

    name: str
    source: str
    synthetic: bool
    made: MarketDataProvider

    def daily_bars(self, symbol: str, last_closed: date) -> "pd.DataFrame":
        """Bars as it gives them."""
        import pandas as pd

        with _named(f"{self.name}, asked for {symbol},"):
            bars = self.made.daily_bars(symbol, last_closed)
        if not isinstance(bars, pd.DataFrame):
            raise MalformedAnswer(
                f"{symbol}: the provider {self.name} gave a {type(bars).__name__}, needed: a "
                "DataFrame"
            )
        return bars


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except CryptoPoolError:
        raise
    except BaseException as fault:
        let_interrupts_pass(fault)
        reason = f"{type(fault).__name__}: {fault}"
        raise ProviderError(f"the provider {what} failed: {reason}") from fault


PROVIDERS: dict[str, Provider] = {}
"""Providers of extensions, by name, as they are loaded."""
