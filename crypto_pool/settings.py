"""The settings of the pool, and the only reader of `pool.toml` and the environment.

Each field is a key of the home's `pool.toml` and the environment variable `CRYPTO_POOL_<FIELD>`,
which wins. `DAGSTER_HOME`, which chooses the home, is Dagster's own name and has no prefix.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from crypto_pool.domain.addresses import without_credentials
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.symbols import parse_symbol
from crypto_pool.errors import InvalidSetting
from crypto_pool.setting_checks import PREFIX, conflicts, load_extensions, variable_name
from crypto_pool.setting_clock import ClockSettings
from crypto_pool.setting_groups import DEFAULT_HOME
from crypto_pool.setting_sources import (
    PATH_OR_URI,
    POOL_FILE,
    SECRETS_FILE,
    PoolFile,
    Source,
    chosen_home,
    is_secret,
    misplaced,
    read_sources,
    removed,
    secrets_files,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from crypto_pool.domain.promotion import PromotionRules
    from crypto_pool.domain.review import ReviewRules
    from crypto_pool.domain.staleness import RetrainRules
    from crypto_pool.sandbox.market import SyntheticMarket

logger = logging.getLogger(__name__)
LISTS = ("symbols", "extensions", "serving_allowed_hosts", "serving_proxies")
POSTGRES = ("postgresql://", "postgres://", "postgresql+psycopg2://")


class Settings(ClockSettings, BaseSettings):
    """All settings; wrong values are reported together by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=SECRETS_FILE, extra="ignore", frozen=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add the home's files; with `_env_file=None` no file is read."""
        assert isinstance(init_settings, InitSettingsSource)
        assert isinstance(dotenv_settings, DotEnvSettingsSource)
        if dotenv_settings.env_file is None:
            return init_settings, env_settings
        home = chosen_home(init_settings.init_kwargs, DEFAULT_HOME)
        files = DotEnvSettingsSource(settings_cls, env_file=secrets_files(home))
        return init_settings, env_settings, files, PoolFile(settings_cls, home)

    @field_validator("*", mode="before")
    @classmethod
    def _as_a_shell_has_it(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        kind = cls.model_fields[name].annotation
        kinds = (kind, *get_args(kind))
        if isinstance(value, str) and (Path in kinds or name in PATH_OR_URI):
            value = os.path.expanduser(value)
        elif isinstance(value, str):
            value = value.strip()
            seen = value.split() if name in LISTS else [value]
            unseen = {one for text in seen for one in text if not one.isprintable()}
            if unseen:
                raise ValueError(f"holds {min(unseen)!a}, which cannot be seen: take it out")
        if isinstance(value, bool) and bool not in kinds:  # which Python counts as 1 and 0
            raise ValueError("needs another kind of value than true or false")
        return None if value == "" and type(None) in kinds else value

    @field_validator("dagster_home", mode="before")
    @classmethod
    def _empty_is_not_set(cls, value: Any) -> Any:
        return cls.model_fields["dagster_home"].default if value == "" else value

    @field_validator(*LISTS, mode="before")
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("symbols")
    @classmethod
    def _check_symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            symbols = tuple(map(parse_symbol, value))
        except InvalidSetting as fault:
            raise ValueError(str(fault)) from None
        if not symbols or len(set(symbols)) != len(symbols):
            raise ValueError(f"needs distinct alphanumeric symbols such as BTC,ETH; got {value}")
        return symbols

    @field_validator("mlflow_backend_uri")
    @classmethod
    def _check_backend(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(POSTGRES):
            raise ValueError("needs a Postgres URI, postgresql://user@host/database")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> "Settings":
        faults = list(conflicts(self))
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def recipe(self) -> Recipe:
        """How the pool's models are made."""
        return Recipe.from_settings(vars(self))

    @property
    def promotion_rules(self) -> "PromotionRules":
        """When a challenger takes over."""
        from crypto_pool.domain.promotion import PromotionRules

        return PromotionRules(self.refresh_after_days, horizon=self.prediction_window_days)

    @property
    def review_rules(self) -> "ReviewRules":
        """When a champion's outcomes take it out of service."""
        from crypto_pool.domain.review import ReviewRules

        return ReviewRules(self.prediction_window_days, self.review_window_days)

    @property
    def retrain_rules(self) -> "RetrainRules":
        """When a member is to be trained again."""
        from crypto_pool.domain.staleness import RetrainRules

        return RetrainRules(self.retrain_after_days, daily_members=self.retrain_daily_members)

    def synthetic_market(self) -> "SyntheticMarket":
        """The synthetic market of the sandbox settings."""
        from crypto_pool.sandbox.market import SyntheticMarket

        return SyntheticMarket(
            seed=self.sandbox_seed,
            predictability=self.sandbox_predictability,
            random_walk=self.sandbox_random_walk,
            trending_share=self.sandbox_trending_share,
        )

    @property
    def chosen_symbols(self) -> tuple[str, ...] | None:
        """The coins somebody asked for; None where the default stands."""
        return self.symbols if "symbols" in self.model_fields_set else None

    @property
    def state_dir(self) -> Path:
        """Absolute local folder of all state."""
        return (self.data_dir or self.dagster_home / "data").resolve()

    @property
    def frames_root(self) -> str:
        """Root of the Parquet files."""
        return self.parquet_root or str(self.state_dir / "parquet")

    @property
    def tracking_uri(self) -> str:
        """MLflow's store."""
        if self.mlflow_backend_uri is not None:
            _, address = self.mlflow_backend_uri.get_secret_value().split("://", 1)
            return f"postgresql+psycopg2://{address}"  # the driver differs by SQLAlchemy's version
        return f"sqlite:///{self.state_dir / 'mlflow' / 'mlflow.db'}"

    @property
    def artifact_root(self) -> str:
        """Root of MLflow's artifacts."""
        return self.mlflow_artifact_root or str(self.state_dir / "mlflow" / "artifacts")


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Read the environment and the home's files once.

    Raises:
        InvalidSetting: one message that lists every fault.
    """
    faults = list(misplaced(Settings, chosen_home({}, DEFAULT_HOME)))
    try:
        settings = Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        raise wrong_settings(error, setting_sources(), faults) from None
    if faults:
        raise wrong_settings(None, (), faults)
    gone = removed(Settings, settings.dagster_home)
    if gone:
        _warn(f"These settings no longer exist and change nothing: {', '.join(gone)}")
    for name, fault in load_extensions(settings).items():
        _warn(f"The extension {name} is broken and left out: {fault}")
    return settings


@contextmanager
def overridden(**values: str) -> Iterator[None]:
    """Let settings be others for a while, in this process and in those it starts meanwhile."""
    given = {variable_name(name): value for name, value in values.items()}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    load_settings.cache_clear()
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if value is not None})
        load_settings.cache_clear()


@lru_cache
def _warn(line: str) -> None:
    """Say it once a process."""
    logger.warning("%s", line)


def wrong_settings(
    error: ValidationError | None, sources: Sequence[Source], faults: Sequence[str] = ()
) -> InvalidSetting:
    """Return one error that lists every fault by the variable, or the file, it is of."""
    wrong = [] if error is None else [_fault_text(fault, sources) for fault in error.errors()]
    return InvalidSetting("\n  ".join(["These settings are wrong:", *faults, *wrong]))


def setting_sources() -> list[Source]:
    """Return what each place gives this process, the strongest first; defaults are no place."""
    return read_sources(Settings, chosen_home({}, DEFAULT_HOME))


def _fault_text(fault: "ErrorDetails", sources: Sequence[Source]) -> str:
    """One fault by the variable or the file it is of; what does not go together names its own."""
    text = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return f"settings: {text}"
    name = str(fault["loc"][0]).lower()
    given = next((source.place for source in sources if name in source.values), "")
    place = f"{given}: {name}" if given.endswith(POOL_FILE) else variable_name(name)
    secret = name in Settings.model_fields and is_secret(Settings.model_fields[name])
    shown = without_credentials(repr(fault["input"]))
    return f"{place}: {text} (got {'a secret, not shown' if secret else shown})"
