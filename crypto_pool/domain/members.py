"""The members of a pool: a coin and the trend that is forecast of it."""

from dataclasses import dataclass
from enum import StrEnum

from crypto_pool.domain.symbols import parse_symbol
from crypto_pool.errors import InvalidSetting


class Trend(StrEnum):
    """The direction a member forecasts."""

    UPTREND = "uptrend"
    DOWNTREND = "downtrend"


@dataclass(frozen=True, order=True)
class Member:
    """One (symbol, trend) pair of the pool."""

    symbol: str
    trend: Trend

    @property
    def name(self) -> str:
        """`BTC_uptrend`: the name of its experiment."""
        return f"{self.symbol}_{self.trend.value}"

    @property
    def partition_key(self) -> str:
        """`BTC|uptrend`: its key as a partition."""
        return f"{self.symbol}|{self.trend.value}"

    @classmethod
    def parse(cls, name: str) -> "Member":
        """Read a member from its name or its partition key; raises InvalidSetting."""
        separator = "|" if "|" in name else "_"
        symbol, _, trend = name.rpartition(separator)
        if not symbol or trend not in {known.value for known in Trend}:
            raise InvalidSetting(
                f"{name!r} names no member: write SYMBOL_trend, for example BTC_uptrend"
            )
        return cls(parse_symbol(symbol), Trend(trend))
