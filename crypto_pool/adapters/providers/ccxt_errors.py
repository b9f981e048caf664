"""The boundary of ccxt: its errors, and those of what it is built on, as the pool's own."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crypto_pool.adapters.providers.statuses import in_words, is_refusal
from crypto_pool.adapters.providers.waiting import burst_limit
from crypto_pool.errors import MalformedAnswer, ProviderError, ProviderUnavailable, UnknownSymbol

if TYPE_CHECKING:
    import ccxt

EXCERPT = 300
_UNREADABLE = (ValueError, LookupError, ArithmeticError, TypeError, AttributeError)


@contextmanager
def translated(client: "ccxt.Exchange", request: str, exchange: str) -> Iterator[None]:
    """Turn ccxt's errors into the pool's own, without their long chain of causes."""
    import ccxt

    client.last_status = 0
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
    except (ccxt.BaseError, OSError, *_UNREADABLE) as fault:  # requests' errors are OSErrors
        error = _no_bars(fault, client, request, exchange)
    raise error from None


def _no_bars(
    fault: Exception, client: "ccxt.Exchange", request: str, exchange: str
) -> ProviderError:
    import ccxt

    elsewhere, status = "choose another CRYPTO_POOL_EXCHANGE", client.last_status
    if status >= 300:
        said = f"{request}: {exchange} {in_words(status)}: {_short(fault)}"
        if not is_refusal(status):
            return ProviderUnavailable(f"{said}; run again later, or {elsewhere}")
        refusal = ProviderUnavailable(f"{said}; {elsewhere}")
        refusal.wait_seconds = None
        return refusal
    if isinstance(fault, ccxt.NetworkError | OSError):
        return ProviderUnavailable(
            f"{request}: {exchange} did not answer within {client.timeout / 1000:g} s, or refused, "
            f"however often it was asked: {_short(fault)}; run again later, or {elsewhere}"
        )
    return MalformedAnswer(
        f"{request}: the answer of {exchange} cannot be read: {type(fault).__name__}: "
        f"{_short(fault)}; run again later, or {elsewhere}"
    )


def _banned_until(fault: Exception) -> datetime | None:
    """The moment in a refusal, in milliseconds, as Binance tells it."""
    match = re.search(r"until\D{0,3}(\d{13})", str(fault))
    return None if match is None else datetime.fromtimestamp(int(match[1]) / 1000, UTC)


def _short(fault: Exception) -> str:
    """What an exchange said, without the pages of HTML that some errors hold."""
    text = str(fault)
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]} ..."
