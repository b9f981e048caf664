"""What a symbol may be: one rule from the setting to the URL."""

import unicodedata

from crypto_pool.errors import InvalidSetting

LONGEST_SYMBOL = 20
SYMBOL_PATTERN = rf"[^\W_]{{1,{LONGEST_SYMBOL}}}"
"""The rule for schemas, which may be told more than a pattern says."""


def parse_symbol(text: str) -> str:
    """Return a coin's symbol as the pool writes it everywhere; raises InvalidSetting.

    Letters and digits of any script, in upper case, 20 at most.
    """
    symbol = unicodedata.normalize("NFC", text.strip()).upper()
    wrong = next((letter for letter in symbol if not letter.isalnum()), "")
    if wrong or not symbol:
        why = f"{wrong!r} is neither letter nor digit" if wrong else "it is empty"
        raise InvalidSetting(f"{text!r} is no symbol, {why}; write it like BTC or 1INCH")
    if len(symbol) > LONGEST_SYMBOL:
        raise InvalidSetting(
            f"{text!r} is no symbol: {len(symbol)} letters, at most {LONGEST_SYMBOL} are allowed"
        )
    return symbol
