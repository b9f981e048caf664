"""How commands show tables on the terminal."""

from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

console = Console()


def print_frame(frame: "pd.DataFrame") -> None:
    """Print a table, floats with three digits."""
    table = Table(*map(str, frame.columns), box=SIMPLE, padding=(0, 1, 0, 0))
    for row in frame.itertuples(index=False):
        table.add_row(*map(_shown, row))
    # Off a terminal a table keeps its width, so that it can be searched and piped.
    wide = console if console.is_terminal else Console(width=400)
    wide.print(table)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value).removesuffix(" 00:00:00")
