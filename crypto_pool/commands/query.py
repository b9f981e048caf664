"""The command `query`: SQL over what is published."""

import csv
import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from crypto_pool.commands import options
from crypto_pool.commands.printing import (
    documents,
    keep_stdout,
    messages,
    print_json,
    print_rows,
    records,
    rows_of,
)
from crypto_pool.errors import InvalidSetting

if TYPE_CHECKING:
    import pyarrow as pa


def query(
    sql: Annotated[str, typer.Argument(help="SQL over the published DuckDB file.")],
    as_json: options.Json = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the rows as CSV.", callback=keep_stdout)
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write the rows to this file, .csv or .parquet.")
    ] = None,
) -> None:
    """Ask the published DuckDB file, read-only."""
    from crypto_pool.adapters.prediction_tables import query_arrow

    if as_json and as_csv:
        raise InvalidSetting("--json and --csv exclude each other: ask for one of them.")
    if output is not None and output.suffix not in (".csv", ".parquet"):
        raise InvalidSetting(f"--output {output}: name a file that ends in .csv or .parquet.")
    options.require_writable("--output", output)
    table = query_arrow(options.chosen_settings().state_dir, sql)
    if output is not None:
        _write(table, output)
        messages(as_json or as_csv).print(f"{output}: {table.num_rows} rows", soft_wrap=True)
        if not (as_json or as_csv):
            return
    if as_json:
        print_json(records(table))
    elif as_csv:
        _write_csv(table, documents.file)
    else:
        print_rows(rows_of(table), table.column_names)


def _write(table: "pa.Table", file: Path) -> None:
    import pyarrow.parquet as pq

    if file.suffix == ".parquet":
        pq.write_table(table, file)
        return
    with file.open("w", encoding="utf-8", newline="") as target:
        _write_csv(table, target)


def _write_csv(table: "pa.Table", target: IO[str]) -> None:
    """Write exact values; NULL is an empty field, what is nested is JSON."""
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(table.column_names)
    for row in records(table):
        writer.writerow(
            json.dumps(value) if isinstance(value, bool | dict | list) else value
            for value in row.values()
        )
