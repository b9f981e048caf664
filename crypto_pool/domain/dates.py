"""Days as people give them."""

from datetime import date

from crypto_pool.errors import InvalidSetting


def read_date(name: str, text: str) -> date:
    """Read a day that an option or a field of that name gives; raises InvalidSetting."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidSetting(f"{name} {text!r} is not a date; use YYYY-MM-DD.") from None
