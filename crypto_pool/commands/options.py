"""Options that several commands share, and the settings they make."""

import os
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_pool.errors import InvalidSetting

if TYPE_CHECKING:
    from crypto_pool.settings import Settings

SymbolsOption = Annotated[
    str | None, typer.Option(help="Coins, comma-separated; 'all' for the default 20.")
]
ProviderOption = Annotated[
    str | None, typer.Option(help="Source of bars; default: CRYPTO_POOL_PROVIDER.")
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print the result as one JSON document; messages go to stderr."),
]
DateOption = Annotated[
    str | None, typer.Option(help="Closed bar date, YYYY-MM-DD; default: the latest closed day.")
]


def chosen_settings(symbols: str | None = None, provider: str | None = None) -> "Settings":
    """Let options win over the environment, for this process and those it starts."""
    from crypto_pool.setting_groups import DEFAULT_SYMBOLS
    from crypto_pool.settings import load_settings

    if symbols:
        chosen = ",".join(DEFAULT_SYMBOLS) if symbols.lower() == "all" else symbols
        os.environ["CRYPTO_POOL_SYMBOLS"] = chosen
    if provider:
        os.environ["CRYPTO_POOL_PROVIDER"] = provider
    return load_settings()


def chosen_date(text: str | None, settings: "Settings") -> date:
    """Read a bar date from an option; without one, the latest closed day.

    Raises:
        InvalidSetting: the text is not a date.
    """
    if text is None:
        return settings.last_closed()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidSetting(f"--date {text!r} is not a date; use YYYY-MM-DD.") from None
