"""How commands show results on the terminal, and where their messages go."""

import json
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

console = Console(highlight=False)
_beside = Console(stderr=True, highlight=False)
_OFF_TERMINAL = 400  # there a table keeps its width, so that it can be searched and piped


def messages(as_json: bool) -> Console:
    """Where a command speaks: on stderr if its result is a document on stdout."""
    return _beside if as_json else console


def page() -> Console:
    """The console of tables: as wide as the terminal, and off one as wide as they need."""
    return console if console.is_terminal else Console(width=_OFF_TERMINAL, highlight=False)


def print_frame(frame: "pd.DataFrame") -> None:
    """Print a table, floats with three digits; one without rows says so."""
    table = Table(*map(str, frame.columns), box=SIMPLE, padding=(0, 1, 0, 0))
    for row in frame.itertuples(index=False):
        table.add_row(*map(_shown, row))
    page().print(table)
    if not len(frame):
        page().print("(0 rows)")


def print_json(content: object) -> None:
    """Print one JSON document and nothing else; raises ValueError for what JSON cannot say."""
    text = json.dumps(content, indent=2, allow_nan=False)
    # soft_wrap: a document must not be broken at the width of a terminal.
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def records(frame: "pd.DataFrame") -> "list[dict[str, Any]]":
    """Give the rows as JSON knows them: what is undefined is null, times are ISO 8601."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", date_format="iso"))
    return rows


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value).removesuffix(" 00:00:00")
