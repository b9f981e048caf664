"""Write the pages docs/configuration.md and docs/tables.md from the settings and the tables.

`python docs/reference.py` renews both; tests fail where a page and its source differ.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import SecretStr

from crypto_pool.adapters.prediction_tables import publish, query
from crypto_pool.domain.columns import Table, View
from crypto_pool.domain.features import feature_names
from crypto_pool.domain.tables import TABLES
from crypto_pool.domain.views import views
from crypto_pool.errors import InvalidSetting
from crypto_pool.setting_checks import variable_name
from crypto_pool.settings import Settings
from crypto_pool.settings_reference import descriptions, grouped_settings

WORDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
SETTINGS_INTRODUCTION = """\
# Configuration

A pool's settings stand in `pool.toml` in its home, the folder that `crypto-pool --home` or
`DAGSTER_HOME` names: `crypto-pool new my_pool` makes one, and every process of the pool reads it.
Each setting is an environment variable too, which wins: `seed = 11` in the file is
`CRYPTO_POOL_SEED=11`. Lists are written `["BTC", "ETH"]` in the file and `BTC,ETH` in the
environment; relative paths in the file are relative to the home. Secrets, those of
`.env.example`, stand in a `.env` file in the home or the working directory, or in the environment,
and are refused in `pool.toml`. Other variables in such a file are read too, and win over it.

`crypto-pool settings` shows each value and where it comes from. A wrong value, or a name that is no
setting, stops a command with exit code 2 and a message that lists every fault. Written by
`python docs/reference.py`; a test fails when this page and the settings differ.
"""
TABLES_INTRODUCTION = """\
# Tables

What the DuckDB file `crypto_pool.duckdb` holds; `DESCRIBE table` and `duckdb_columns()` give the
same words. Written by `python docs/reference.py`; a test fails when the page and the tables
differ.
"""


def settings_page() -> str:
    """Give the whole page as Markdown."""
    parts = [SETTINGS_INTRODUCTION]
    for title, names in grouped_settings().items():
        rows = [_row(name) for name in names]
        parts.append("\n".join([f"## {title}", "", "| variable | default | meaning |",
                                "|---|---|---|", *rows, ""]))  # fmt: skip
    return "\n".join(parts)


def tables_page() -> str:
    """Return the whole page as Markdown."""
    with TemporaryDirectory() as folder:
        publish(Path(folder), {})
        shown = [_view(view, Path(folder)) for view in views(feature_names())]
    return "\n".join([TABLES_INTRODUCTION, *map(_section, TABLES.values()), *shown])


def _view(view: View, folder: Path) -> str:
    columns = query(folder, f"SELECT column_name FROM (DESCRIBE {view.name})")["column_name"]
    names = ", ".join(f"`{name}`" for name in columns)
    return f"## {view.name}\n\n{view.comment} A view: {names}.\n"


def _section(table: Table) -> str:
    rows = [f"| `{c.name}` | {c.kind.sql} | {c.comment} |" for c in table.columns]
    key = f"Key: {', '.join(f'`{name}`' for name in table.key)}."
    head = [f"## {table.name}", "", f"{table.comment} {key}", "", "| column | type | meaning |"]
    return "\n".join([*head, "|---|---|---|", *rows, ""])


def _row(name: str) -> str:
    if name not in descriptions():
        raise InvalidSetting(f"the setting {name} has no description; write one below its field")
    meaning = " ".join([descriptions()[name], *_allowed(name)]).replace("|", "\\|")
    default = _shown_default(Settings.model_fields[name].default)
    return f"| `{variable_name(name)}` | {default} | {meaning} |"


def _shown_default(value: object) -> str:
    if value is None or value == () or isinstance(value, SecretStr):
        return "not set"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value.as_posix() if isinstance(value, Path) else value}`"


def _allowed(name: str) -> list[str]:
    """Say which values are taken, where the type or a bound limits them."""
    given = _schema()[name]
    kinds = given.get("anyOf", [given])
    values = [value for kind in kinds for value in kind.get("enum", [kind.get("const")]) if value]
    parts = [f"One of {', '.join(f'`{value}`' for value in values)}."] if values else []
    bounds = [
        f"{word} {kind[limit]}" for kind in kinds for limit, word in WORDS.items() if limit in kind
    ]
    return [*parts, f"({', '.join(bounds)})"] if bounds else parts


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = Settings.model_json_schema(by_alias=False)["properties"]
    return schema


if __name__ == "__main__":
    for name, page in (("configuration", settings_page()), ("tables", tables_page())):
        Path(__file__).with_name(f"{name}.md").write_text(page)
