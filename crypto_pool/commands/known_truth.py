"""`crypto-pool known-truth`: what panel and candidates claim where the truth is known."""

from typing import Annotated

import typer

from crypto_pool.commands import options
from crypto_pool.commands.printing import show, write_json

SKILLS = ("panel_skill", "candidates_skill")
STUDIED_COINS = 10


def known_truth(
    seeds: Annotated[int, typer.Option(min=1, help="Synthetic markets of each kind.")] = 2,
    symbols: Annotated[
        str | None, typer.Option(help="Coins of each market, comma-separated; default: ten.")
    ] = None,
    candidates: Annotated[
        str, typer.Option(help="Algorithms, comma-separated, or all.")
    ] = "RidgeClassifier,KNeighbors",
    training_rows: Annotated[int, typer.Option(min=200, help="Labelled rows a member.")] = 2000,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    output: options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Count who claims skill on markets whose truth is known.

    On random walks nobody should, where a changing volatility is planted the panel, and where a
    drift is planted the candidates, whose claim is what they add to the panel.
    """
    from crypto_pool.domain.candidates import CANDIDATES
    from crypto_pool.replay.known_truth import study_known_truth, summarise

    options.require_writable("--output", output)
    names = tuple(CANDIDATES) if candidates == "all" else options.read_names(candidates)
    coins = (
        options.read_symbols(symbols) if symbols else options.read_symbols("all")[:STUDIED_COINS]
    )
    findings = study_known_truth(seeds, coins, names, training_rows, workers)
    planted = summarise(findings)
    report = {"planted": planted, "members": [finding.to_row() for finding in findings]}
    write_json(report, output)
    ends = ("_low", "_high")
    show(
        as_json,
        report,
        [
            {k: v for k, v in row.items() if not k.endswith(ends)}
            | {name: with_interval(row, name) for name in SKILLS}
            for row in planted
        ],
    )


def with_interval(row: dict[str, float | None], name: str) -> str:
    """Return a skill with its 90 % interval."""
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if value is None:
        return "none"
    return f"{value:+.3f}" if low is None else f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
