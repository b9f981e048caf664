"""Begin a coin's history anew: `crypto-pool restart-history`."""

from typing import Annotated

import typer

from crypto_pool.commands.options import JsonOption
from crypto_pool.commands.printing import console, print_json


def restart_history(
    symbol: Annotated[str, typer.Argument(help="The coin whose stored bars are set aside.")],
    as_json: JsonOption = False,
) -> None:
    """Set a coin's stored bars aside, to be pulled anew."""
    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.settings import load_settings
    from crypto_pool.workflow import pulling

    settings = load_settings()
    store = FrameStore(settings.frames_root)
    count = pulling.restart_history(store, symbol.upper(), settings.now())
    if as_json:
        print_json({"symbol": symbol.upper(), "bars": count, "table": pulling.REPLACED})
        return
    console.print(
        f"{count} bars of {symbol.upper()} stand in the table {pulling.REPLACED} now; "
        "the next build pulls its history anew."
    )
