"""Alpha Vantage's answers: what each body means, and the rows it holds.

Every refusal arrives as HTTP 200 and is known by its text alone.
"""

import json
import re
from typing import Any
from urllib.parse import quote

import pandas as pd

from crypto_pool.domain.market import BAR_COLUMNS
from crypto_pool.errors import (
    BurstLimit,
    DailyQuotaExhausted,
    InvalidApiKey,
    MalformedAnswer,
    NoData,
    PremiumEndpoint,
    ProviderError,
    UnknownSymbol,
)

BARS_FUNCTION = "DIGITAL_CURRENCY_DAILY"
_BARS_KEY = "Time Series (Digital Currency Daily)"
_INDICATOR_NAMES = {"AD": "Chaikin A/D"}
_EXCERPT = 160

# The field as today, then as it was when prices came in two currencies.
_BAR_FIELDS = {
    "open": ("1. open", "1b. open (USD)", "1a. open (USD)"),
    "high": ("2. high", "2b. high (USD)", "2a. high (USD)"),
    "low": ("3. low", "3b. low (USD)", "3a. low (USD)"),
    "close": ("4. close", "4b. close (USD)", "4a. close (USD)"),
    "volume": ("5. volume",),
}


def parse_bars(body: bytes, symbol: str) -> pd.DataFrame:
    """Daily bars in USD as the body has them, oldest first; the newest may be running."""
    rows = _rows(_decode(body, BARS_FUNCTION, symbol), _BARS_KEY, BARS_FUNCTION, symbol)
    first = next(iter(rows.values()))
    fields = {}
    for column, names in _BAR_FIELDS.items():
        known = [name for name in names if name in first]
        if not known:
            raise MalformedAnswer(
                f"{symbol}: daily bars have no {column} in USD, only {', '.join(sorted(first))}; "
                "the provider changed its format: report it, stored bars are untouched"
            )
        fields[column] = known[0]
    return _frame(rows, fields, BARS_FUNCTION, symbol)[list(BAR_COLUMNS)]


def parse_indicator(
    body: bytes, function: str, symbol: str, fields: dict[str, str]
) -> pd.DataFrame:
    """One indicator's series, oldest first; `fields` maps our column to the provider's field."""
    key = f"Technical Analysis: {_INDICATOR_NAMES.get(function, function)}"
    return _frame(
        _rows(_decode(body, function, symbol), key, function, symbol), fields, function, symbol
    )


def redact(body: bytes, secret: str) -> bytes:
    """Take the key out of a body; the provider echoes it in some notices."""
    for form in {secret, quote(secret, safe="")} - {""}:
        body = body.replace(form.encode(), b"[API key]")
    return body


def _decode(body: bytes, function: str, symbol: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        raise MalformedAnswer(
            f"{symbol} {function}: {len(body)} bytes that are no whole JSON, beginning "
            f"{_beginning(body)!r}; run again, the stored data is untouched"
        ) from None
    if not isinstance(answer, dict):
        raise MalformedAnswer(
            f"{symbol} {function}: JSON of type {type(answer).__name__} instead of an object; "
            "run again, the stored data is untouched"
        )
    for key in ("Error Message", "Note", "Information"):
        if key in answer:
            raise _refusal(str(answer[key]), function, symbol)
    return answer


def _refusal(text: str, function: str, symbol: str) -> ProviderError:
    """The error a notice stands for; burst first, since that notice names the day's limit too."""
    said = text.lower()
    what = f"{symbol} {function}"
    if re.search(r"requests? per second|more sparingly|calls? per minute", said):
        burst = BurstLimit(
            f"{what}: too many requests at once; another program may be using the key: "
            "stop it, or wait and run again"
        )
        if "per minute" in said:
            burst.wait_seconds = 61.0
        return burst
    if re.search(r"(requests?|calls?) per day|daily rate limit", said):
        return DailyQuotaExhausted(
            f"{what}: the provider says that the key's daily quota is used up (a wrong key is "
            "sometimes told so too); run again after 00:00 UTC, what was pulled is kept"
        )
    if "premium endpoint" in said:
        return PremiumEndpoint(
            f"{what}: the key's plan does not include {function}; use "
            "CRYPTO_POOL_INDICATOR_SOURCE=local, which needs the bars alone, or a paid plan"
        )
    if "apikey" in said or "api key" in said:
        return InvalidApiKey(
            f"{what}: the provider refuses the API key; set CRYPTO_POOL_ALPHA_VANTAGE_API_KEY "
            "to a valid one (free at https://www.alphavantage.co/support/#api-key)"
        )
    if "invalid api call" in said:
        return UnknownSymbol(
            f"{what}: the provider does not know {symbol}; take it out of CRYPTO_POOL_SYMBOLS, "
            "or use another CRYPTO_POOL_PROVIDER for it"
        )
    return MalformedAnswer(
        f"{what}: the provider gave a notice instead of data: {text[:_EXCERPT]!r}; "
        "follow it, or run again later"
    )


def _rows(answer: dict[str, Any], key: str, function: str, symbol: str) -> dict[str, Any]:
    rows = answer.get(key)
    if rows is None and answer:
        raise MalformedAnswer(
            f"{symbol} {function}: no {key!r} in the answer, it has {', '.join(answer)}; "
            "the provider changed its format: report it, the stored data is untouched"
        )
    if not rows:
        raise NoData(
            f"{symbol} {function}: the provider has no rows; take the coin out of "
            "CRYPTO_POOL_SYMBOLS, or run again later; the stored data is untouched"
        )
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise MalformedAnswer(f"{symbol} {function}: {key!r} is no table; run again later")
    return rows


def _frame(
    rows: dict[str, Any], fields: dict[str, str], function: str, symbol: str
) -> pd.DataFrame:
    try:
        columns = {
            column: [float(row[field]) for row in rows.values()] for column, field in fields.items()
        }
        index = pd.DatetimeIndex(pd.to_datetime(list(rows), format="ISO8601"))
    except (KeyError, TypeError, ValueError) as fault:
        raise MalformedAnswer(
            f"{symbol} {function}: a row cannot be read ({type(fault).__name__}: {fault}); "
            "run again, the stored data is untouched"
        ) from None
    return pd.DataFrame(columns, index=index.as_unit("ns").rename("date")).sort_index(kind="stable")


def _beginning(body: bytes) -> str:
    return body[:40].decode("utf-8", "replace")
