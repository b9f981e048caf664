"""Days as people give them."""

from datetime import date

from crypto_pool.errors import InvalidSetting

FIRST_YEAR, LAST_YEAR = 2009, 2099


def read_date(name: str, text: str) -> date:
    """Read a day that an option or a field of that name gives; raises InvalidSetting."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidSetting(f"{name} {text!r} is not a date; use YYYY-MM-DD.") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise InvalidSetting(f"{name} {day}: bars are of {FIRST_YEAR} to {LAST_YEAR}.")
    return day
