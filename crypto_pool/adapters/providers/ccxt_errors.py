"""The boundary of ccxt: its errors, and those of what it is built on, as the pool's own."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crypto_pool.adapters.providers.waiting import burst_limit
from crypto_pool.errors import MalformedAnswer, ProviderUnavailable, UnknownSymbol

if TYPE_CHECKING:
    import ccxt

EXCERPT = 300
_UNREADABLE = (ValueError, LookupError, ArithmeticError, TypeError, AttributeError)


@contextmanager
def translated(client: "ccxt.Exchange", request: str, exchange: str) -> Iterator[None]:
    """Turn ccxt's errors into the pool's own, without their long chain of causes."""
    import ccxt

    try:
        yield
        return
    except ccxt.BadSymbol as fault:
        error: Exception = UnknownSymbol(
            f"{request}: {exchange} does not know it: {_short(fault)}; "
            "take the coin out of CRYPTO_POOL_SYMBOLS or choose another CRYPTO_POOL_EXCHANGE"
        )
    except (ccxt.DDoSProtection, ccxt.RateLimitExceeded) as fault:
        error = burst_limit(
            f"{request}: {exchange}",
            (client.last_response_headers or {}).get("Retry-After"),
            f"wants fewer requests ({_short(fault)})",
            _banned_until(fault),
        )
    except (ccxt.NetworkError, OSError) as fault:  # requests' errors are OSErrors
        error = ProviderUnavailable(
            f"{request}: {exchange} did not answer within {client.timeout / 1000:g} s, or refused, "
            f"however often it was asked: {_short(fault)}; run again later, or choose another "
            "CRYPTO_POOL_EXCHANGE"
        )
    except (ccxt.BaseError, *_UNREADABLE) as fault:
        error = MalformedAnswer(
            f"{request}: the answer of {exchange} cannot be read: "
            f"{type(fault).__name__}: {_short(fault)}; run again later, or choose another "
            "CRYPTO_POOL_EXCHANGE"
        )
    raise error from None


def _banned_until(fault: Exception) -> datetime | None:
    """The moment in a refusal, in milliseconds, as Binance tells it."""
    match = re.search(r"until\D{0,3}(\d{13})", str(fault))
    return None if match is None else datetime.fromtimestamp(int(match[1]) / 1000, UTC)


def _short(fault: Exception) -> str:
    """What an exchange said, without the pages of HTML that some errors hold."""
    text = str(fault)
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]} ..."
