"""What a symbol may be: one rule from the setting to the URL."""

import unicodedata

from crypto_pool.errors import InvalidSetting

LONGEST_SYMBOL = 20
SYMBOL_PATTERN = rf"[^\W_]{{1,{LONGEST_SYMBOL}}}"
"""The rule for schemas, which may be told more than a pattern says."""


def parse_symbol(text: str) -> str:
    """Return a coin's symbol as the pool writes it everywhere; raises InvalidSetting.

    Letters and digits of any script, in upper case, 20 at most. One that another is written by
    too, as SS by a sharp s or BTC by letters of full width, would be that coin in one place alone.
    """
    plain = unicodedata.normalize("NFC", text.strip())
    wrong = next((why for why in map(_why_not, plain) if why), "" if plain else "it is empty")
    if wrong:
        raise InvalidSetting(f"{text!r} is no symbol, {wrong}; write it like BTC or 1INCH")
    symbol = plain.upper()
    if len(symbol) > LONGEST_SYMBOL:
        raise InvalidSetting(
            f"{text!r} is no symbol: {len(symbol)} letters, at most {LONGEST_SYMBOL} are allowed"
        )
    return symbol


def _why_not(letter: str) -> str:
    """Say why a letter stands in no symbol; empty if it may."""
    if not letter.isalnum():
        return f"{letter!r} is neither letter nor digit"
    upper, lower = letter.upper(), letter.lower()
    plain = unicodedata.normalize("NFKC", lower.upper())
    is_plain = plain == upper and upper.lower() == lower and len(lower) == 1
    return "" if is_plain else f"{letter!r} is another form of {plain!r}"
