"""`crypto-pool known-truth`: what the recipe claims where the truth is known."""

from typing import Annotated

import typer

from crypto_pool.commands.options import JsonOption, OutputOption, read_names, require_writable
from crypto_pool.commands.printing import show, write_json

DEFAULT_CANDIDATES = "RidgeClassifier,LightGBM,KNeighbors,RandomForest"


def known_truth(
    seeds: Annotated[int, typer.Option(min=1, help="Synthetic markets for each strength.")] = 10,
    symbols: Annotated[str, typer.Option(help="Coins of each market, comma-separated.")] = "BTC",
    candidates: Annotated[
        str, typer.Option(help="Algorithms, comma-separated, or all.")
    ] = DEFAULT_CANDIDATES,
    training_rows: Annotated[int, typer.Option(min=200, help="Labelled rows a member.")] = 1000,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count claims of skill on markets whose truth is known."""
    from dataclasses import asdict

    from crypto_pool.domain.candidates import CANDIDATES
    from crypto_pool.workflow.known_truth import study_known_truth

    require_writable("--output", output)
    names = tuple(CANDIDATES) if candidates == "all" else read_names(candidates)
    strengths, members = study_known_truth(
        seeds, read_names(symbols), names, training_rows, workers
    )
    report = {
        "strengths": [asdict(finding) for finding in strengths],
        "members": [asdict(finding) for finding in members],
    }
    write_json(report, output)
    show(as_json, report, report["strengths"])
