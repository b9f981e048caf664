"""A pool's home: the folder with its `pool.toml`, its `dagster.yaml` and all its state."""

import errno
import json
import os
import sqlite3
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crypto_pool.adapters.sqlite_files import opened
from crypto_pool.adapters.unfinished_files import make_folder, replace_file
from crypto_pool.setting_sources import POOL_FILE, SECRETS_FILE
from crypto_pool.settings_reference import descriptions

DAGSTER_YAML = Path(__file__).parent / "dagster.yaml"
DATABASES = ("*/*.db", "history/runs/index.db", "data/mlflow/mlflow.db")
HEAD = f"""\
# The settings of this pool that differ from their defaults; the environment overrides them.
# `crypto-pool settings` shows what else can stand here. Secrets stand in {SECRETS_FILE} beside it.
"""


def prepare_home(home: Path) -> Path:
    """Make a home if it is not there, give it the pool's `dagster.yaml`; return its full path.

    Raises:
        NotADirectoryError: it cannot be made there.
        PermissionError: this user may not write it, or a database in it.
    """
    home = home.resolve()
    make_folder(home)
    for part in (home, *(one for pattern in DATABASES for one in home.glob(pattern))):
        if not os.access(part, os.W_OK):  # which SQLite would say without its name
            raise PermissionError(errno.EACCES, "this user may not write it", f"{part}")
    config = home / DAGSTER_YAML.name
    if not config.exists() or not config.stat().st_size:  # by an empty one Dagster reports home
        replace_file(config, DAGSTER_YAML.read_bytes())
    return home


def damaged_databases(home: Path) -> list[str]:
    """Return the SQLite files of a home that cannot be read, each with what SQLite says."""
    damaged = []
    for file in (one for pattern in DATABASES for one in home.resolve().glob(pattern)):
        try:
            with opened(file, "ro") as connection:
                answer = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.DatabaseError as fault:
            answer = str(fault)
        if answer != "ok":
            damaged.append(f"{file}: {answer}")
    return damaged


def write_pool_file(home: Path, values: Mapping[str, Any]) -> bool:
    """Write a home's `pool.toml`, unless somebody's hand is in the one that is there."""
    file = prepare_home(home) / POOL_FILE
    if file.exists():
        text = file.read_text("utf-8")
        if text != render_pool_file(tomllib.loads(text)):
            return False
    replace_file(file, render_pool_file(values))
    return True


def render_pool_file(values: Mapping[str, Any]) -> str:
    """Return the text of a `pool.toml`, each value below what it means."""
    parts = [HEAD]
    for name, value in values.items():
        parts.append(f"# {descriptions()[name]}\n{name} = {_toml(value)}\n")
    return "\n".join(parts)


def _toml(value: Any) -> str:
    if isinstance(value, bool | int | float | str | list | tuple):
        return json.dumps(value, ensure_ascii=False)  # TOML writes these as JSON does
    return str(value)  # a date
