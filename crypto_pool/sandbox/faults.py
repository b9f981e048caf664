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


def burst_notice(per_second: int, per_day: int) -> dict[str, str]:
    """Too many in a second; names the day's limit too, as the real one does."""
    return {
        "Information": f"{THANKS} Please consider spreading out your free API requests more "
        f"sparingly ({per_second} request per second). You may subscribe to any of the premium "
        f"plans at {_PLANS} to lift the free key rate limit ({per_day} requests per day), raise "
        "the per-second burst limit, and instantly unlock all premium endpoints"
    }


def minute_notice(per_minute: int, per_day: int) -> dict[str, str]:
    """Too many in a minute."""
    return {
        "Note": f"{THANKS} Our standard API call frequency is {per_minute} calls per minute and "
        f"{per_day} calls per day. Please visit {_PLANS} if you would like to target a higher "
        "API call frequency."
    }


def quota_notice(per_day: int, key: str) -> dict[str, str]:
    """Too many in a day; echoes the key, as the real one does."""
    return {
        "Information": f"We have detected your API key as {key} and our standard API rate limit "
        f"is {per_day} requests per day. Please subscribe to any of the premium plans at {_PLANS} "
        "to instantly remove all daily rate limits."
    }


def wrong_key_error() -> dict[str, str]:
    """No key, or not this server's."""
    return {
        "Error Message": "the parameter apikey is invalid or missing. Please claim your free API "
        "key on (https://www.alphavantage.co/support/#api-key). It should take less than 20 "
        "seconds."
    }


def premium_notice() -> dict[str, str]:
    """The plan lacks the function."""
    return {
        "Information": f"{THANKS} This is a premium endpoint. You may subscribe to any of the "
        f"premium plans at {_PLANS} to instantly unlock all premium endpoints"
    }


def invalid_call_error(function: str) -> dict[str, str]:
    """Unknown symbol or parameters."""
    return {
        "Error Message": "Invalid API call. Please retry or visit the documentation "
        f"(https://www.alphavantage.co/documentation/) for {function}."
    }


def unknown_notice(key: str) -> dict[str, str]:
    """Words that nobody has seen before; echoes the key, as some real ones do."""
    return {"Information": f"A new notice for {key}: our office has moved."}
