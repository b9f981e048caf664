"""Options that several commands share, and the settings they make."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_pool.commands.printing import keep_stdout
from crypto_pool.errors import InvalidSetting

if TYPE_CHECKING:
    from crypto_pool.settings import Settings

Symbols = Annotated[
    str | None, typer.Option(help="Coins, comma-separated; 'all' for the default 20.")
]
Provider = Annotated[
    str | None, typer.Option(help="Source of bars; default: CRYPTO_POOL_PROVIDER.")
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print the result as one JSON document; messages go to stderr.",
        callback=keep_stdout,
    ),
]
Start = Annotated[str, typer.Option("--from", help="First day: trained and forecast, YYYY-MM-DD.")]
End = Annotated[str, typer.Option("--to", help="Last bar date that is forecast.")]
Workers = Annotated[
    int | None, typer.Option(help="Training processes; default: CRYPTO_POOL_WORKERS.")
]
Algorithms = Annotated[
    str | None, typer.Option(help="Candidates to train, comma-separated; default: all.")
]
Output = Annotated[Path | None, typer.Option(help="Write every figure as JSON to this file.")]
Date = Annotated[
    str | None, typer.Option(help="Closed bar date, YYYY-MM-DD; default: the latest closed day.")
]


def chosen_settings(symbols: str | None = None, provider: str | None = None) -> "Settings":
    """Let options win over the environment, for this process and those it starts."""
    from crypto_pool.settings import load_settings

    if symbols:
        os.environ["CRYPTO_POOL_SYMBOLS"] = ",".join(read_symbols(symbols))
    if provider:
        os.environ["CRYPTO_POOL_PROVIDER"] = provider
    if symbols or provider:
        load_settings.cache_clear()  # an import may have read them before these were known
    return load_settings()


def read_names(text: str) -> tuple[str, ...]:
    """Read a list from an option, by commas or spaces; each name counts once."""
    return tuple(dict.fromkeys(text.replace(",", " ").split()))


def read_symbols(text: str) -> tuple[str, ...]:
    """Read coins from an option; `all` are those of the defaults."""
    from crypto_pool.domain.symbols import parse_symbol
    from crypto_pool.setting_groups import DEFAULT_SYMBOLS

    return DEFAULT_SYMBOLS if text.lower() == "all" else tuple(map(parse_symbol, read_names(text)))


def require_writable(option: str, file: Path | None) -> None:
    """Make sure that a file can be written, before the work whose result it is to hold.

    Raises:
        InvalidSetting: it is a folder, its folder is missing, or one of them takes no writing.
    """
    from tempfile import TemporaryFile

    if file is None:
        return
    if file.is_dir():
        raise InvalidSetting(f"{option} {file} is a folder; name a file in it.")
    if not file.parent.is_dir():
        raise InvalidSetting(
            f"{option} {file}: there is no folder {file.parent}; make it with "
            f"`mkdir -p {file.parent}`, or name another file."
        )
    try:
        if not file.exists():
            TemporaryFile(dir=file.parent).close()
        elif not os.access(file, os.W_OK):
            raise PermissionError
    except OSError:
        raise InvalidSetting(
            f"{option} {file} may not be written; mend its rights or name another."
        ) from None
