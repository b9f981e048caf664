"""The page docs/configuration.md, written from the settings themselves.

`python -m crypto_pool.settings_reference > docs/configuration.md` renews it.
"""

import ast
import inspect
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from crypto_pool import setting_groups
from crypto_pool.errors import InvalidSetting
from crypto_pool.setting_checks import variable_name
from crypto_pool.setting_groups import HIDDEN, Groups
from crypto_pool.settings import Settings

WORDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
INTRODUCTION = """\
# Configuration

A pool's settings stand in `pool.toml` in its home, the folder that `crypto-pool --home` or
`DAGSTER_HOME` names: `crypto-pool new my_pool` makes one, and every process of the pool reads it.
Each setting is an environment variable too, which wins: `seed = 11` in the file is
`CRYPTO_POOL_SEED=11`. Lists are written `["BTC", "ETH"]` in the file and `BTC,ETH` in the
environment; relative paths in the file are relative to the home. Secrets (the key, the token, the
webhook) stand in a `.env` file in the home or the working directory, or in the environment; other
variables in such a file are read too, and win over `pool.toml`.

`crypto-pool settings` shows each value and where it comes from. A wrong value, or a name that is no
setting, stops a command with exit code 2 and a message that lists every fault. Written by
`python -m crypto_pool.settings_reference`; a test fails when this page and the settings differ.
"""


def settings_page() -> str:
    """Give the whole page as Markdown."""
    parts = [INTRODUCTION]
    for title, names in grouped_settings().items():
        rows = [_row(name) for name in names]
        parts.append("\n".join([f"## {title}", "", "| variable | default | meaning |",
                                "|---|---|---|", *rows, ""]))  # fmt: skip
    return "\n".join(parts)


@cache
def descriptions() -> dict[str, str]:
    """Return what each setting means, by its name, as the string below its field says."""
    groups = ast.parse(inspect.getsource(setting_groups)).body
    pairs = [pair for one in groups if isinstance(one, ast.ClassDef) for pair in pairwise(one.body)]
    return {
        field.target.id: " ".join(str(text.value.value).split())
        for field, text in pairs
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def grouped_settings() -> dict[str, list[str]]:
    """Return the names of all settings but the hidden by group, in the order of definition."""
    shown = {
        str(group.__doc__).rstrip("."): [
            name for name, f in group.model_fields.items() if f.json_schema_extra is not HIDDEN
        ]
        for group in Groups.__bases__
        if issubclass(group, BaseModel)
    }
    return {title: names for title, names in shown.items() if names}


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
    print(settings_page(), end="")
