"""Alpha Vantage's answers: what each body means, and the rows it holds.

Refusals arrive as HTTP 200, and are known by what their text is about: its wording changes.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from crypto_pool.adapters.providers.statuses import in_words, is_refusal
from crypto_pool.adapters.providers.waiting import no_answer
from crypto_pool.domain.addresses import spellings
from crypto_pool.domain.bar_days import bar_days, moment_ns
from crypto_pool.domain.bar_validation import BAR_COLUMNS
from crypto_pool.errors import (
    BurstLimit,
    DailyQuotaExhausted,
    InvalidApiKey,
    InvalidBars,
    MalformedAnswer,
    NoData,
    PremiumEndpoint,
    ProviderError,
    ProviderUnavailable,
    UnknownSymbol,
)

BARS_FUNCTION = "DIGITAL_CURRENCY_DAILY"
_BARS_KEY = "Time Series (Digital Currency Daily)"
_INDICATOR_NAMES = {"AD": "Chaikin A/D"}
_REDACTED = "[API key]"
UNKNOWN_WAIT_SECONDS = 5.0
MINUTE_WAIT_SECONDS = 61.0

_NOTHING: Mapping[str, str] = {}
_ECHOED = {
    "Digital Currency Code": "symbol",
    "Symbol": "symbol",
    "Market Code": "market",
    "Interval": "interval",
    "Time Period": "time_period",
    "Series Type": "series_type",
}
"""A request's parameters by their names in `Meta Data`, where numbers stand before them."""

_UNIT = r"(?:\b(?:per|an?|each|every|in one)|/)[ -]?"
_TOPICS = {
    "second": rf"{_UNIT}sec(ond)?s?\b|sparingly|spread(ing)? out|\bburst",
    "minute": rf"{_UNIT}(min(ute)?s?|hour|\d+ sec(ond)?s)\b|(minute|hour)[- ]?(ly )?(level|limit)",
    "day": rf"{_UNIT}(day|24 ?h|month)|\b(daily|monthly) (api |request |call |usage )*(rate|limit|"
    r"quota|cap\b|allowance|requests|calls)|(requests?|calls|limit)\b.*\b(today|the day|daily$)",
    "premium": r"\b(is|are|requires?|needs?) (an? |part of (a |our )?|only |exclusively )*"
    r"(available (only )?(to|for|with|in|on) )?(an? |our )*premium"
    r"(?! page| plans? page)|premium[- ](feature|function|parameter|members?|users?|customers?|"
    r"subscribers?)|(unlock|access|use) this (endpoint|feature|function|api)|upgrade to|"
    r"upgraded (plan|subscription)|(part of|moved to|reserved for) (our )?premium",
    "often": r"(call|request|api) (call )?(frequency|volume|rate)|rate[- ]limit|throttl|too many|"
    r"too (often|fast|quickly)|\bquota|(rate|limit) (was |is |has been )?(reached|exceed|limited)|"
    r"try again later|slow down",
    "plan": r"premium[- ]end ?-?point",
    "function": r"function\b.*\b(not exist|not supported|unknown|invalid|deprecated|retired|"
    r"no longer)|(no such|unknown|invalid|unsupported) (api )?function",
    "key": r"(?=.*(invalid|missing|incorrect|wrong|not valid|expired|disabled|revoked|suspended|"
    r"blocked|unknown|not recogni|required|claim)).*api[ _-]?key|unauthori[sz]ed",
    "call": r"invalid api call|(invalid|unknown|unsupported) (symbol|ticker|currency|market)|"
    r"symbol\b.*\b(not|invalid)",
}
"""What a notice may be about, asked in this order: one about a second may name the day too."""
_BARS_ALONE = "use CRYPTO_POOL_INDICATOR_SOURCE=local, which needs the bars alone"
_ANOTHER_PLAN = f"{_BARS_ALONE}, or a paid plan"
_ANOTHER_KEY = (
    "set CRYPTO_POOL_ALPHA_VANTAGE_API_KEY to a valid one (free at "
    "https://www.alphavantage.co/support/#api-key)"
)
_STATUSES: Mapping[int, tuple[type[ProviderError], str]] = {
    401: (InvalidApiKey, _ANOTHER_KEY),
    402: (PremiumEndpoint, _ANOTHER_PLAN),
    403: (InvalidApiKey, _ANOTHER_KEY),
    407: (ProviderUnavailable, "check the proxy that the environment names"),
    451: (ProviderUnavailable, "choose another CRYPTO_POOL_PROVIDER"),
}

# The field as today, then as it was when prices came in two currencies.
_BAR_FIELDS = {
    "open": ("1. open", "1b. open (USD)", "1a. open (USD)"),
    "high": ("2. high", "2b. high (USD)", "2a. high (USD)"),
    "low": ("3. low", "3b. low (USD)", "3a. low (USD)"),
    "close": ("4. close", "4b. close (USD)", "4a. close (USD)"),
    "volume": ("5. volume",),
}


def parse_bars(body: bytes, symbol: str, asked: Mapping[str, str] = _NOTHING) -> pd.DataFrame:
    """Daily bars in USD as the body has them, oldest first; the newest may be running.

    `asked` are the request's parameters, which the answer may name, and then has to be about.
    """
    rows = _rows(body, _BARS_KEY, BARS_FUNCTION, symbol, asked)
    first = next(iter(rows.values()))
    fields = {}
    for column, names in _BAR_FIELDS.items():
        known = next((name for name in names if name in first), None)
        if known is None:
            raise MalformedAnswer(
                f"{symbol}: daily bars have no {column} in USD, only {', '.join(sorted(first))}; "
                "the provider changed its format: report it, stored bars are untouched"
            )
        fields[column] = known
    return _frame(rows, fields, BARS_FUNCTION, symbol)[list(BAR_COLUMNS)]


def parse_indicator(
    body: bytes,
    function: str,
    symbol: str,
    fields: dict[str, str],
    asked: Mapping[str, str] = _NOTHING,
) -> pd.DataFrame:
    """One indicator's series, oldest first; `fields` maps our column to the provider's field."""
    key = f"Technical Analysis: {_INDICATOR_NAMES.get(function, function)}"
    return _frame(_rows(body, key, function, symbol, asked), fields, function, symbol)


def redact(body: bytes, secret: str) -> bytes:
    """Take the key out of a body, as JSON may escape it; the provider echoes it in some notices."""
    for written in spellings(secret):
        letters = (rf"(?:\\?{re.escape(one)}|\\u{ord(one):04x})" for one in written)
        body = re.sub("".join(letters).encode(), _REDACTED.encode(), body, flags=re.I)
    return body


def _rows(
    body: bytes, key: str, function: str, symbol: str, asked: Mapping[str, str]
) -> dict[str, Any]:
    """The table under `key`; without it, what the answer says in words is a refusal."""
    what = f"{symbol} {function}"
    try:
        answer = json.loads(body, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as fault:
        begun = body[:40].decode("utf-8", "replace")
        why = f"{len(body)} bytes that cannot be read as JSON ({fault}), beginning {begun!r}"
        raise _passing(no_answer(f"{what}: {why}")) from None
    if isinstance(answer, str):
        answer = {"": answer}
    if not isinstance(answer, dict):
        raise no_answer(f"{what}: JSON of type {type(answer).__name__} instead of an object")
    meta = answer.get("Meta Data")
    for name, value in meta.items() if isinstance(meta, dict) else ():
        parameter = _ECHOED.get(name.lstrip("0123456789.: "), "")
        if parameter in asked and _plain(value) != _plain(asked[parameter]):
            raise no_answer(f"{what}: the answer is about {value}, not {asked[parameter]}")
    rows = answer.get(key)
    notice = " ".join(_words({**answer, "Meta Data": None}))
    if not rows and notice:
        raise _refusal(notice, function, symbol)
    if answer and key not in answer:
        raise MalformedAnswer(
            f"{what}: no {key!r} in the answer, it has {', '.join(answer)}; "
            "the provider changed its format: report it, the stored data is untouched"
        )
    if not rows:
        raise NoData(
            f"{what}: the provider has no rows; take the coin out of "
            "CRYPTO_POOL_SYMBOLS, or run again later; the stored data is untouched"
        )
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise no_answer(f"{what}: {key!r} is no table")
    return rows


def _plain(value: object) -> str:
    return re.sub(r"\W", "", str(value)).upper()


def _words(answer: Any) -> Iterator[str]:
    """Yield the texts at any depth of an answer that hold a letter, so no numbers or days."""
    within = [answer]
    for value in within:
        if isinstance(value, dict | list):
            within.extend(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, str) and re.search(r"[^\W\d_]", value):
            yield value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs; JSON lets a name come twice, and Python takes the last."""
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise ValueError("a name twice in one object")
    return unique


def status_error(status: int, function: str, symbol: str) -> ProviderError:
    """Return the error of an answer whose HTTP status is not 200."""
    way_out = (
        "check CRYPTO_POOL_ALPHA_VANTAGE_BASE_URL" if is_refusal(status) else "run again later"
    )
    kind, way_out = _STATUSES.get(status, (ProviderUnavailable, way_out))
    does = (
        f"refuses the API key (HTTP status {status})" if kind is InvalidApiKey else in_words(status)
    )
    error = kind(f"{symbol} {function}: the provider {does}; {way_out}")
    if is_refusal(status):
        error.wait_seconds = None
    return error


def _refusal(text: str, function: str, symbol: str) -> ProviderError:
    """The error a notice stands for, by what it is about."""
    notice = text.lower().replace(_REDACTED.lower(), "")
    what = f"{symbol} {function}"
    topic = next((name for name, about in _TOPICS.items() if re.search(about, notice)), "")
    if topic in ("second", "minute", "often"):
        burst = BurstLimit(
            f"{what}: too many requests at once; another program may be using the key: "
            f"stop it, or wait and run again. The provider said: {text}"
        )
        if topic != "second":
            burst.wait_seconds = MINUTE_WAIT_SECONDS
        return burst
    if topic == "day":
        return DailyQuotaExhausted(
            f"{what}: the provider says that the key's daily quota is used up (a wrong key is "
            "sometimes told so too); run again after 00:00 UTC, what was pulled is kept"
        )
    if topic in ("premium", "plan"):
        return PremiumEndpoint(
            f"{what}: the key's plan does not include {function}; {_ANOTHER_PLAN}"
        )
    if topic == "function":
        return PremiumEndpoint(
            f"{what}: the provider has no function {function} (any more); {_BARS_ALONE}"
        )
    if topic == "key":
        return InvalidApiKey(f"{what}: the provider refuses the API key; {_ANOTHER_KEY}")
    if topic == "call":
        return UnknownSymbol(
            f"{what}: the provider does not know {symbol}; take it out of CRYPTO_POOL_SYMBOLS, "
            "or use another CRYPTO_POOL_PROVIDER for it"
        )
    return _passing(
        ProviderUnavailable(
            f"{what}: the provider gave a notice instead of data: {text!r}; "
            "follow it, or run again later; the stored data is untouched"
        )
    )


def _passing(error: ProviderError) -> ProviderError:
    """The error, marked as one that the same request may not meet a little later."""
    error.wait_seconds = UNKNOWN_WAIT_SECONDS
    return error


def _frame(
    rows: dict[str, Any], fields: dict[str, str], function: str, symbol: str
) -> pd.DataFrame:
    try:
        columns = {
            column: [float(row[field]) for row in rows.values()] for column, field in fields.items()
        }
        if function == BARS_FUNCTION:
            index = bar_days(list(rows), lambda row: f"row {row + 1}")
        else:  # the running day's row of an indicator has the time of its making
            moments = np.array([moment_ns(stamp) for stamp in rows], "datetime64[ns]")
            index = pd.DatetimeIndex(moments, name="date")
    except (KeyError, TypeError, ValueError, InvalidBars) as fault:
        why = f"a row cannot be read ({type(fault).__name__}: {fault})"
        raise no_answer(f"{symbol} {function}: {why}") from None
    return pd.DataFrame(columns, index=index).sort_index(kind="stable")
