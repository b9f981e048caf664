"""The page docs/configuration.md, written from the settings themselves.

`python -m crypto_pool.settings_reference > docs/configuration.md` renews it.
"""

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from crypto_pool.errors import InvalidSetting
from crypto_pool.setting_checks import variable_name
from crypto_pool.setting_groups import HIDDEN, Groups
from crypto_pool.settings import Settings

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
        rows = [_row(name, Settings.model_fields[name]) for name in names]
        parts.append("\n".join([f"## {title}", "", "| variable | default | meaning |",
                                "|---|---|---|", *rows, ""]))  # fmt: skip
    return "\n".join(parts)


def grouped_settings() -> dict[str, list[str]]:
    """Return the names of all settings but the hidden by group, in the order of definition."""
    return {
        str(group.__doc__).rstrip("."): [
            name for name, f in group.model_fields.items() if f.json_schema_extra is not HIDDEN
        ]
        for group in Groups.__bases__
        if issubclass(group, BaseModel)
    }


def _row(name: str, field: FieldInfo) -> str:
    if not field.description:
        raise InvalidSetting(f"the setting {name} has no description; give its Field one")
    meaning = " ".join([field.description, *_allowed(field)]).replace("|", "\\|")
    return f"| `{variable_name(name)}` | {_shown_default(field.default)} | {meaning} |"


def _shown_default(value: object) -> str:
    if value is None or value == () or isinstance(value, SecretStr):
        return "not set"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value.as_posix() if isinstance(value, Path) else value}`"


def _allowed(field: FieldInfo) -> list[str]:
    """Say which values are taken, where the type or a bound limits them."""
    choices = _choices(field.annotation)
    said = [f"One of {', '.join(f'`{choice}`' for choice in choices)}."] if choices else []
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = [
        f"{word} {getattr(limit, name)}"
        for limit in field.metadata
        for name, word in words.items()
        if isinstance(getattr(limit, name, None), int | float)
    ]
    return [*said, f"({', '.join(bounds)})"] if bounds else said


def _choices(annotation: Any) -> tuple[str, ...]:
    origin = get_origin(annotation)
    if origin is Literal:
        return tuple(map(str, get_args(annotation)))
    if origin in (Union, types.UnionType, Annotated):
        return tuple(choice for part in get_args(annotation) for choice in _choices(part))
    return ()


if __name__ == "__main__":
    print(settings_page(), end="")
