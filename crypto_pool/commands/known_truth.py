"""`crypto-pool known-truth`: what the recipe claims where the truth is known."""

from pathlib import Path
from typing import Annotated

import typer

from crypto_pool.commands.options import read_names, require_writable

DEFAULT_CANDIDATES = "RidgeClassifier,LightGBM,KNeighbors,RandomForest"


def known_truth(
    seeds: Annotated[int, typer.Option(min=1, help="Synthetic markets for each strength.")] = 10,
    symbols: Annotated[str, typer.Option(help="Coins of each market, comma-separated.")] = "BTC",
    candidates: Annotated[
        str, typer.Option(help="Algorithms, comma-separated, or all.")
    ] = DEFAULT_CANDIDATES,
    training_rows: Annotated[int, typer.Option(min=200, help="Labelled rows a member.")] = 1000,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every figure to this file.")
    ] = None,
) -> None:
    """Count claims of skill on markets whose truth is known."""
    import json
    from dataclasses import asdict

    import pandas as pd

    from crypto_pool.commands.printing import print_frame
    from crypto_pool.domain.candidates import CANDIDATES
    from crypto_pool.workflow.known_truth import study_known_truth

    require_writable("--json", json_file)
    names = tuple(CANDIDATES) if candidates == "all" else read_names(candidates)
    strengths, members = study_known_truth(
        seeds, read_names(symbols), names, training_rows, workers
    )
    print_frame(pd.DataFrame([asdict(finding) for finding in strengths]))
    if json_file is not None:
        report = {
            "strengths": [asdict(finding) for finding in strengths],
            "members": [asdict(finding) for finding in members],
        }
        json_file.write_text(json.dumps(report, indent=2, allow_nan=False))
