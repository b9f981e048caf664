"""What the sandbox server can do wrong, in Alpha Vantage's own words."""

from dataclasses import dataclass
from enum import StrEnum

_PLANS = "https://www.alphavantage.co/premium/"
THANKS = "Thank you for using Alpha Vantage!"


class Fault(StrEnum):
    """A fault to switch on."""

    BURST = "burst"
    QUOTA = "quota"
    SERVER_ERROR = "5xx"
    HANG = "hang"
    TRUNCATION = "truncation"
    GARBAGE = "garbage"
    SLOW_DRIP = "slow-drip"
    WRONG_KEY = "wrong-key"
    PREMIUM = "premium"
    UNKNOWN_SYMBOL = "unknown-symbol"
    NO_DATA = "no-data"
    TOO_MANY = "429"
    NOTICE = "notice"


@dataclass
class SwitchedFault:
    """A fault, how often it still strikes (None: until switched off), and at what."""

    fault: Fault
    remaining: int | None = None
    function: str = ""
    symbol: str = ""

    def strikes(self, function: str, symbol: str) -> bool:
        """Whether this request is hit; counts it if so."""
        if self.remaining == 0 or (self.function and self.function != function):
            return False
        if self.symbol and symbol not in (self.symbol, f"{self.symbol}USDT"):
            return False
        if self.remaining is not None:
            self.remaining -= 1
        return True


# Too many in a minute, for which there is no switch.
MINUTE = "minute"
NOTICES: dict[str, tuple[str, str]] = {
    Fault.BURST: (
        "Information",
        f"{THANKS} Please consider spreading out your free API requests more sparingly "
        "({per_second} request per second). You may subscribe to any of the premium plans at "
        f"{_PLANS} to lift the free key rate limit ({{per_day}} requests per day), raise the "
        "per-second burst limit, and instantly unlock all premium endpoints",
    ),
    MINUTE: (
        "Note",
        f"{THANKS} Our standard API call frequency is {{per_minute}} calls per minute and "
        f"{{per_day}} calls per day. Please visit {_PLANS} if you would like to target a higher "
        "API call frequency.",
    ),
    Fault.QUOTA: (
        "Information",
        "We have detected your API key as {key} and our standard API rate limit is {per_day} "
        f"requests per day. Please subscribe to any of the premium plans at {_PLANS} to instantly "
        "remove all daily rate limits.",
    ),
    Fault.WRONG_KEY: (
        "Error Message",
        "the parameter apikey is invalid or missing. Please claim your free API key on "
        "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds.",
    ),
    Fault.PREMIUM: (
        "Information",
        f"{THANKS} This is a premium endpoint. You may subscribe to any of the premium plans at "
        f"{_PLANS} to instantly unlock all premium endpoints",
    ),
    Fault.UNKNOWN_SYMBOL: (
        "Error Message",
        "Invalid API call. Please retry or visit the documentation "
        "(https://www.alphavantage.co/documentation/) for {function}.",
    ),
    Fault.NOTICE: ("Information", "A new notice for {key}: our office has moved."),
}
"""The field and the words of each refusal; some echo the key, as the real ones do."""
