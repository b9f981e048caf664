"""The settings of the pool, and the only reader of the environment.

Each field is the environment variable `CRYPTO_POOL_<FIELD>`; a `.env` file in the working
directory is read too. `DAGSTER_HOME` is Dagster's own name and has no prefix.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from crypto_pool.errors import InvalidSetting

if TYPE_CHECKING:
    from crypto_pool.sandbox.market import SyntheticMarket

# fmt: off
DEFAULT_SYMBOLS = (
    "BTC", "ETH", "SOL", "ADA", "XRP", "AVAX", "DOT", "LINK", "BCH", "LTC",
    "UNI", "STX", "FIL", "ETC", "ATOM", "GRT", "RUNE", "XTZ", "ALGO", "AAVE",
)
# fmt: on
POSTGRES = ("postgresql://", "postgresql+psycopg2://")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Settings(BaseSettings):
    """All settings; wrong values are reported together by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="CRYPTO_POOL_", env_file=".env", extra="ignore", frozen=True
    )

    symbols: Annotated[tuple[str, ...], NoDecode] = Field(
        DEFAULT_SYMBOLS, description="Coins of the pool, comma-separated."
    )
    provider: Literal["sandbox", "directory", "alpha_vantage", "exchange"] = Field(
        "sandbox", description="Where daily bars come from."
    )
    alpha_vantage_api_key: SecretStr | None = Field(
        None, description="Key of the alpha_vantage provider."
    )
    alpha_vantage_base_url: str = Field(
        "https://www.alphavantage.co/query", description="Address of the alpha_vantage provider."
    )
    alpha_vantage_plan: Literal[
        "free",
        "premium_75",
        "premium_150",
        "premium_300",
        "premium_600",
        "premium_1200",
        "custom",
    ] = Field("free", description="The key's plan, which sets the request budget.")
    alpha_vantage_per_second: int | None = Field(
        None, ge=1, description="Requests a second of a custom plan; empty: no limit."
    )
    alpha_vantage_per_minute: int | None = Field(
        None, ge=1, description="Requests a minute of a custom plan; empty: no limit."
    )
    alpha_vantage_per_day: int | None = Field(
        None, ge=1, description="Requests in 24 hours of a custom plan; empty: no limit."
    )
    alpha_vantage_timeout_seconds: float = Field(
        30,
        gt=0,
        le=600,
        description="Longest silence within an answer; a whole answer may take twice that.",
    )
    request_budget_dir: Path | None = Field(
        None,
        description="Local folder where all pools of this machine count a key's requests; "
        "default: .crypto_pool/request_budget in the home folder.",
    )
    sandbox_url: str | None = Field(
        None,
        description="Address of a running `crypto-pool sandbox`; empty: the synthetic market "
        "is made in the process that needs it.",
    )
    market_data_dir: Path | None = Field(
        None, description="Folder of SYMBOL.csv or SYMBOL.parquet for the directory provider."
    )
    exchange: Literal["binance", "kraken", "coinbase"] = Field(
        "binance", description="Whose daily bars the exchange provider pulls; no key is needed."
    )
    quote_currency: str | None = Field(
        None,
        description="Currency of the exchange's prices; default: USDT on Binance, else USD.",
    )
    exchange_url: str | None = Field(
        None, description="Another address that answers as the exchange does, such as a sandbox."
    )
    interval: Literal["daily"] = Field("daily", description="Length of the bars pulled.")
    dagster_home: Path = Field(
        Path("dagster_home"),
        validation_alias=AliasChoices("DAGSTER_HOME", "dagster_home"),
        description="Folder of dagster.yaml and of Dagster's own state.",
    )
    data_dir: Path | None = Field(
        None, description="Local folder of all state; default: data below DAGSTER_HOME."
    )
    parquet_root: str | None = Field(
        None, description="Root of the Parquet files, a path or fsspec URI; default: in data_dir."
    )
    mlflow_backend_uri: SecretStr | None = Field(
        None,
        description="MLflow's database if it is not the SQLite file in data_dir, for example "
        "postgresql://pool@db.internal/mlflow; needs `crypto-pool[scale]`.",
    )
    mlflow_artifact_root: str | None = Field(
        None,
        description="Root of MLflow's artifacts, a path or a URI such as s3://bucket/artifacts; "
        "default: in data_dir.",
    )
    publication_root: str | None = Field(
        None,
        description="Folder or fsspec URI that each publication of the DuckDB file is copied to, "
        "as crypto_pool.duckdb; empty: none.",
    )
    time_period: int = Field(7, ge=2, le=60, description="Look-back of ADX, RSI and their like.")
    indicator_source: Literal["local", "provider"] = Field(
        "local",
        description="Compute indicators from the stored bars, or pull them ready-made "
        "(16 requests a coin instead of 1).",
    )
    series_type: Literal["open", "high", "low", "close"] = Field(
        "close", description="The price indicators are computed from."
    )
    prediction_window_days: int = Field(10, ge=10, le=90, description="Horizon in calendar days.")
    target_pct: float = Field(
        0.05, gt=0, lt=1, description="Move of the target that counts, as a fraction."
    )
    training_rows: int = Field(1000, ge=100, description="Latest labelled rows used for training.")
    min_history_bars: int = Field(365, ge=100, description="Fewer real bars refuse a coin.")
    evaluation_policy: Literal["purged_walk_forward", "holdout"] = Field(
        "purged_walk_forward", description="How candidates are evaluated and chosen."
    )
    calibration: Literal["anchored", "platt", "isotonic"] = Field(
        "anchored", description="How purged_walk_forward turns scores into probabilities."
    )
    target: Literal["sma_shift", "forward_return"] = Field(
        "sma_shift", description="What is forecast: a shift of SMA10, or of the close."
    )
    first_prediction_date: date = Field(
        date(2018, 1, 1), description="First day of the daily partitions."
    )
    seed: int = Field(7, ge=0, description="Seed of every candidate.")
    workers: int = Field(2, ge=1, le=64, description="Training processes.")
    dask_scheduler: str | None = Field(
        None,
        pattern=r"^(tcp|tls)://[^/]+:\d+$",
        description="Dask scheduler whose workers train instead of local processes, for example "
        "tcp://10.0.0.5:8786; needs `crypto-pool[scale]`.",
    )
    explained_rows: int = Field(
        60, ge=10, description="Latest evaluation rows a champion's importance is measured on."
    )
    promotion_margin: float = Field(
        0.005, ge=0, lt=1, description="Brier score a challenger must be better by to take over."
    )
    promotion_min_rows: int = Field(
        30, ge=1, description="Rows neither side has seen that a comparison needs."
    )
    champion_expires_after_days: int = Field(
        60, ge=1, description="Days after a champion's trained_through when any challenger wins."
    )
    automation_on: bool = Field(
        False, description="Start with the daily schedule and the sensors switched on."
    )
    daily_at_utc: str = Field(
        "00:20",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="When the day that has closed is pulled, scored and forecast, HH:MM in UTC.",
    )
    catch_up_days: int = Field(
        30, ge=1, le=365, description="Latest closed days whose missing forecasts are still made."
    )
    retrain_after_days: int = Field(
        30, ge=1, description="Days after its last training when a member is trained again."
    )
    retrain_after_rows: int = Field(
        60, ge=1, description="Labelled rows since its last training that make a member stale."
    )
    drift_limit: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of a feature's last 30 rows outside its training span that makes a "
        "member stale.",
    )
    retrain_cooldown_days: int = Field(
        7, ge=0, description="Days before a stale member is asked to be trained again."
    )
    retrain_daily_members: int = Field(
        40, ge=0, description="Stale members trained a day, the worst first."
    )
    review_window_days: int = Field(
        240, ge=100, description="Latest days of outcomes a champion is judged by."
    )
    quarantine_level: float = Field(
        0.001,
        gt=0,
        lt=0.5,
        description="Chance, tested daily, below which a champion worse than the reference "
        "is quarantined.",
    )
    abstain_beyond_widths: float | None = Field(
        2.0,
        gt=0,
        description="A forecast abstains if an input lies further outside its training span "
        "than this many widths of it; empty: never.",
    )
    alert_webhook_url: SecretStr | None = Field(
        None, description="Slack-compatible webhook that is told of incidents beside the log."
    )
    alert_deadline_hours: int = Field(
        6, ge=0, le=23, description="Hours after daily_at_utc when missing forecasts are told."
    )
    keep_runs_days: int | None = Field(
        90, ge=1, description="Days Dagster's runs and events are kept; empty: for ever."
    )
    keep_candidates_days: int | None = Field(
        60,
        ge=1,
        description="Days the artifacts of candidates without a registered version are kept; "
        "empty: for ever.",
    )
    keep_raw_answers_days: int | None = Field(
        90, ge=1, description="Days a provider's raw answers are kept; empty: for ever."
    )
    keep_publications: int = Field(
        3, ge=1, description="Latest publications of the DuckDB file that are kept."
    )
    sandbox_seed: int = Field(7, ge=0, description="Seed of the synthetic market.")
    sandbox_predictability: float = Field(
        0.15, ge=0, le=1, description="Planted drift of the synthetic market, in daily sigmas."
    )
    sandbox_random_walk: bool = Field(
        False, description="Make the synthetic market a pure random walk."
    )
    serving_host: str = Field(
        "127.0.0.1",
        description="Address the API and the pages listen on; beyond loopback it needs a token.",
    )
    serving_port: int = Field(8000, ge=0, le=65535, description="Port of the API and the pages.")
    serving_token: SecretStr | None = Field(
        None, description="Bearer token every request to the API must carry, if set."
    )
    serving_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Names the API is reached by beside loopback and serving_host, "
        "comma-separated.",
    )
    serving_rate_limit: str = Field(
        "600/minute", description="Requests one remote address may make, for example 600/minute."
    )
    serving_loopback_rate_limit: str = Field(
        "50000/second", description="Requests this machine itself may make."
    )
    simulated_now: datetime | None = Field(
        None, description="A fixed UTC clock, for replays and tests."
    )
    simulated_now_file: Path | None = Field(
        None,
        description="File with the UTC time, read whenever the time is asked for: one clock that "
        "all processes of a drill follow.",
    )

    @field_validator("symbols", mode="before")
    @classmethod
    def _split_symbols(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = value.replace(",", " ").split()
        return tuple(str(symbol).upper() for symbol in value)

    @field_validator(
        "abstain_beyond_widths",
        "keep_runs_days",
        "keep_candidates_days",
        "keep_raw_answers_days",
        mode="before",
    )
    @classmethod
    def _empty_is_never(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("serving_allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("symbols")
    @classmethod
    def _check_symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [symbol for symbol in value if not symbol.isalnum()]
        if not value or wrong or len(set(value)) != len(value):
            raise ValueError(f"needs distinct alphanumeric symbols such as BTC,ETH; got {value}")
        return value

    @model_validator(mode="after")
    def _check_directory(self) -> "Settings":
        if self.provider == "directory" and self.market_data_dir is None:
            raise ValueError(
                "the directory provider needs CRYPTO_POOL_MARKET_DATA_DIR, a folder of SYMBOL.csv"
            )
        return self

    @field_validator("mlflow_backend_uri")
    @classmethod
    def _check_backend(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(POSTGRES):
            raise ValueError("needs a Postgres URI, postgresql://user@host/database")
        return value

    @model_validator(mode="after")
    def _check_cluster(self) -> "Settings":
        if self.dask_scheduler is None or urlsplit(self.dask_scheduler).hostname in LOOPBACK:
            return self
        local = [
            f"CRYPTO_POOL_{name.upper()}"
            for name in ("parquet_root", "mlflow_backend_uri", "mlflow_artifact_root")
            if getattr(self, name) is None
        ]
        if local:
            raise ValueError(
                f"workers of {self.dask_scheduler} cannot reach state of this machine; set "
                f"{', '.join(local)} to what they reach too"
            )
        return self

    def synthetic_market(self) -> "SyntheticMarket":
        """The synthetic market of the sandbox settings."""
        from crypto_pool.sandbox.market import SyntheticMarket

        return SyntheticMarket(
            seed=self.sandbox_seed,
            predictability=self.sandbox_predictability,
            random_walk=self.sandbox_random_walk,
        )

    @property
    def asked_symbols(self) -> tuple[str, ...] | None:
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

    @property
    def is_clock_simulated(self) -> bool:
        """Whether the time stands still until somebody sets it."""
        return self.simulated_now is not None or self.simulated_now_file is not None

    def now(self) -> datetime:
        """The UTC time, simulated if so set.

        Raises:
            InvalidSetting: simulated_now_file is not there, or holds no time.
        """
        simulated = self.simulated_now
        if self.simulated_now_file is not None:
            simulated = _time_in(self.simulated_now_file)
        if simulated is None:
            return datetime.now(UTC)
        return simulated.replace(tzinfo=simulated.tzinfo or UTC)

    def last_closed(self) -> date:
        """The latest UTC day whose bar is closed."""
        return self.now().astimezone(UTC).date() - timedelta(days=1)


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Read the environment once.

    Raises:
        InvalidSetting: one message that lists every fault.
    """
    try:
        return Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        faults = [
            f"  {_variable(fault['loc'])}: {fault['msg']} (got {_shown(fault['input'])})"
            for fault in error.errors()
        ]
        message = "These settings are wrong:\n" + "\n".join(faults)
    raise InvalidSetting(message)


def _time_in(clock: Path) -> datetime:
    try:
        return datetime.fromisoformat(clock.read_text().strip())
    except (OSError, ValueError) as fault:
        raise InvalidSetting(
            f"CRYPTO_POOL_SIMULATED_NOW_FILE: {clock} must hold a UTC time such as "
            f"2024-03-01T00:20:00: {fault}"
        ) from fault


def _variable(location: tuple[int | str, ...]) -> str:
    if not location:
        return "settings"
    name = str(location[0])
    return name if name == "DAGSTER_HOME" else f"CRYPTO_POOL_{name.upper()}"


def _shown(value: object) -> str:
    return "a combination of settings" if isinstance(value, dict) else repr(value)
