"""Where settings are given: the environment, `.env` files and the `pool.toml` of a home.

A home is the folder DAGSTER_HOME names. The strongest source comes first everywhere here.
"""

import logging
import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from dotenv.parser import parse_stream
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    TomlConfigSettingsSource,
)

from crypto_pool.errors import InvalidSetting
from crypto_pool.setting_checks import PREFIX, REMOVED, unknown_keys, unknown_names, variable_name

POOL_FILE, SECRETS_FILE, ENVIRONMENT = "pool.toml", ".env", "environment"
HOME = "DAGSTER_HOME"
PATH_OR_URI = ("parquet_root", "publication_root", "mlflow_artifact_root")


logging.getLogger("dotenv.main").setLevel(logging.ERROR)  # `misplaced` says it with the file


class Source(NamedTuple):
    """A place that gives settings, and what it gives by the name of the field."""

    place: str
    values: Mapping[str, Any]


class PoolFile(TomlConfigSettingsSource):
    """The settings in a home's `pool.toml`; relative paths in it are relative to the home."""

    def __init__(self, settings: type[BaseSettings], home: Path) -> None:
        self.file = home / POOL_FILE
        if os.path.lexists(self.file) and not self.file.is_file():
            raise InvalidSetting(
                f"{self.file} is a folder or a link to nothing; put the file there, or take it away"
            )
        try:
            super().__init__(settings, self.file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            raise InvalidSetting(
                f"{self.file} is not TOML: {fault}; mend it, or make it anew with `crypto-pool new`"
            ) from None
        fields = settings.model_fields
        for name, value in self.init_kwargs.items():
            if (
                name in fields
                and value
                and isinstance(value, str)
                and _is_path(name, value, fields)
            ):
                path = home.absolute() / os.path.expanduser(value)
                self.init_kwargs[name] = os.path.normpath(path)

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        given = tomllib.loads(file_path.read_text("utf-8-sig"))  # some editors begin with a mark
        _require_one_spelling(f"{file_path}", given)
        return given


def chosen_home(given: Mapping[str, Any], default: Path) -> Path:
    """Return the home that arguments, the environment or `./.env` name, or else the default."""
    here = _of_env_files(BaseSettings, SECRETS_FILE)
    named = given.get(HOME) or os.environ.get(HOME) or here.get(HOME.lower())
    return Path(os.path.expanduser(named or default))


def secrets_files(home: Path) -> tuple[Path, ...]:
    """Return the `.env` files a home reads, the stronger last as pydantic wants them."""
    return (Path(SECRETS_FILE), home / SECRETS_FILE)


def read_sources(settings: type[BaseSettings], home: Path) -> list[Source]:
    """Return every place that gives a setting of the pool, the strongest first."""
    variables = {variable_name(name).lower(): name for name in settings.model_fields}

    def by_field(given: Mapping[str, str | None]) -> dict[str, Any]:
        return {variables[name]: value for name, value in given.items() if name in variables}

    files = dict.fromkeys(reversed(secrets_files(home)))
    return [
        Source(ENVIRONMENT, by_field(EnvSettingsSource(settings).env_vars)),
        *(Source(str(file), by_field(_of_env_files(settings, file))) for file in files),
        Source(str(home / POOL_FILE), PoolFile(settings, home).init_kwargs),
    ]


def misplaced(settings: type[BaseSettings], home: Path) -> Iterator[str]:
    """Say which names are no settings, and what a `pool.toml` must not hold."""
    fields = settings.model_fields
    for file in {file.resolve(): file for file in secrets_files(home) if file.is_file()}:
        with file.open(encoding="utf-8-sig", errors="replace") as text:
            for one in (one for one in parse_stream(text) if one.error):
                text_of_line = one.original.string
                blank = text_of_line[: -len(text_of_line.lstrip())]
                line = one.original.line + blank.count("\n")
                yield (
                    f"{file}, line {line}: it is no NAME=value; write it so, with its quotes "
                    "closed, or begin it with #"
                )
    _require_one_spelling(ENVIRONMENT, (n for n in os.environ if n.upper().startswith(PREFIX)))
    files = _of_env_files(settings, *secrets_files(home))
    yield from unknown_names({**files, **EnvSettingsSource(settings).env_vars}, fields)
    pool = PoolFile(settings, home)
    yield from unknown_keys(str(pool.file), set(pool.init_kwargs) - {HOME}, fields)
    for name in pool.init_kwargs:
        if name == HOME:  # by its alias, whichever name the file has
            yield f"{pool.file}: its own folder is the home; take dagster_home out of it"
        elif name in fields and is_secret(fields[name]):
            yield (
                f"{pool.file}: {name} is a secret; give it as {variable_name(name)} in the "
                f"environment or in {home / SECRETS_FILE}"
            )


def removed(settings: type[BaseSettings], home: Path) -> list[str]:
    """Return which settings of earlier releases are given somewhere, with what holds."""
    files = _of_env_files(settings, *secrets_files(home))
    given = {*files, *EnvSettingsSource(settings).env_vars}
    given |= {variable_name(name).lower() for name in PoolFile(settings, home).init_kwargs}
    return [
        f"{name} ({now})" for name, now in REMOVED.items() if variable_name(name).lower() in given
    ]


def is_secret(field: FieldInfo) -> bool:
    """Return whether a setting's value must not be shown."""
    kinds = (field.annotation, *get_args(field.annotation))
    return SecretStr in (getattr(kind, "__origin__", kind) for kind in kinds)  # also a checked one


def _require_one_spelling(place: str, names: Iterable[str]) -> None:
    counts = Counter(name.lower() for name in names)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise InvalidSetting(
            f"{place}: {', '.join(twice)} stands there in two spellings; keep one of them"
        )


def _of_env_files(settings: type[BaseSettings], *files: str | Path) -> Mapping[str, str | None]:
    try:
        return DotEnvSettingsSource(settings, env_file=files).env_vars
    except UnicodeDecodeError as fault:
        raise InvalidSetting(f"{' or '.join(map(str, files))} is not UTF-8: {fault}") from None


def _is_path(name: str, value: str, fields: Mapping[str, FieldInfo]) -> bool:
    kind = fields[name].annotation
    return Path in (kind, *get_args(kind)) or (name in PATH_OR_URI and "://" not in value)
