"""The command `query`: SQL over what is published."""

from typing import Annotated

import typer

from crypto_pool.commands.options import JsonOption, chosen_settings
from crypto_pool.commands.printing import print_frame, print_json, records


def query(
    sql: Annotated[str, typer.Argument(help="SQL over the published DuckDB file.")],
    as_json: JsonOption = False,
) -> None:
    """Ask the published DuckDB file, read-only."""
    from crypto_pool.adapters.prediction_tables import query as ask

    frame = ask(chosen_settings().state_dir, sql)
    if as_json:
        print_json(records(frame))
    else:
        print_frame(frame)
