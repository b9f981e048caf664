"""`crypto-pool panel` and `odds`: what the model of all coins is worth, and what it expects."""

import json
from pathlib import Path
from typing import Annotated

import typer

from crypto_pool.commands.options import (
    JsonOption,
    ProviderOption,
    SymbolsOption,
    chosen_settings,
    read_date,
    require_writable,
)
from crypto_pool.commands.printing import console, messages, print_json, print_rows


def panel(
    start: Annotated[str, typer.Option("--from", help="The day before the first that is scored.")],
    end: Annotated[str, typer.Option("--to", help="Last bar date that is scored.")],
    symbols: SymbolsOption = None,
    provider: ProviderOption = None,
    output: Annotated[
        Path | None, typer.Option(help="Write every figure as JSON to this file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score the panel alone over history: skill over the reference, and outcomes in its range."""
    from datetime import timedelta

    from crypto_pool.defs.market_data import build_provider
    from crypto_pool.domain.market import validate_bars
    from crypto_pool.errors import CryptoPoolError
    from crypto_pool.replay.panel import replay_panel

    require_writable("--output", output)
    settings = chosen_settings(symbols, provider)
    first, last = read_date("--from", start), read_date("--to", end)
    target, source = settings.recipe.target, build_provider(settings)
    through = min(last + timedelta(days=target.horizon), settings.last_closed())
    bars = {}
    for symbol in settings.symbols:
        try:
            bars[symbol] = validate_bars(
                source.daily_bars(symbol, through), symbol, through, 1
            ).bars
        except CryptoPoolError as error:  # one coin never stops the others
            messages(as_json).print(f"left out: {error}", markup=False)
    found = replay_panel(bars, target, first, last)
    report = {
        "figures": found.rows(),
        "skill_by_move": [
            {"move_pct": round(100 * move, 1), "skill_over_reference": round(skill, 4)}
            for move, skill in found.moves.items()
        ],
    }
    if output is not None:
        output.write_text(json.dumps(report, indent=2, allow_nan=False))
    if as_json:
        print_json(report)
        return
    print_rows(report["figures"])
    console.print()
    print_rows(report["skill_by_move"])
