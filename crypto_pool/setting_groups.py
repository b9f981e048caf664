"""What can be set, one class a topic; its docstring heads the topic's part of the reference.

The string below a field says what it means; the page docs/configuration.md is made from it. How
fields are read, checked together and combined is in `crypto_pool.settings`.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    Field,
    IPvAnyNetwork,
    JsonValue,
    SecretStr,
)
from pydantic_settings import NoDecode

from crypto_pool.domain.recipe import LONGEST_HORIZON

# fmt: off
DEFAULT_SYMBOLS = (
    "BTC", "ETH", "SOL", "ADA", "XRP", "AVAX", "DOT", "LINK", "BCH", "LTC",
    "UNI", "STX", "FIL", "ETC", "ATOM", "GRT", "RUNE", "XTZ", "ALGO", "AAVE",
)
# fmt: on
# A seam of tests, drills and the demo, which run several processes: in no list of settings.
HIDDEN: dict[str, JsonValue] = {"hidden": True}
DEFAULT_HOME = Path("dagster_home")


def _such_as(
    example: str, pattern: str, fits: Callable[[str], bool] = lambda text: True
) -> AfterValidator:
    """Refuse other text, with an example of what is wanted; a secret's too."""

    def check(value: str | SecretStr) -> str | SecretStr:
        text = value if isinstance(value, str) else value.get_secret_value()
        if not re.fullmatch(pattern, text) or not fits(text):
            raise ValueError(f"needs a value such as {example}")
        return value

    return AfterValidator(check)


def _has_host(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # no port, or half an IPv6 address
        return False


ADDRESS = _such_as("https://host/path", r"https?://\S+", _has_host)
HOST = _such_as("pool.example", r"[^\s/:]+|[^\s/]*:[^\s/]*:[^\s/]*")  # no port, or of IPv6
SCHEDULER = _such_as("tcp://10.0.0.5:8786", r"(tcp|tls)://[^/]+:\d+")
TIME = _such_as("00:20", r"([01]\d|2[0-3]):[0-5]\d")
RATE = _such_as("600/minute", r"[1-9]\d*\s*(/|per)\s*([1-9]\d*\s*)?(second|minute|hour|day)s?")
Url = Annotated[str, ADDRESS]
SecretUrl = Annotated[SecretStr, ADDRESS]
Days = Annotated[int, Field(ge=1, le=36_500)]
Rows = Annotated[int, Field(ge=100, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Group(BaseModel, defer_build=True):
    """Settings of one topic; what checks them is built for all together."""


class Scope(Group):
    """What the pool is about."""

    symbols: Annotated[tuple[str, ...], NoDecode] = DEFAULT_SYMBOLS
    """Coins of the pool."""
    time_period: int = Field(7, ge=2, le=60)
    """Look-back of ADX, RSI and their like."""
    indicator_source: Literal["local", "provider"] = "local"
    """Compute indicators from the stored bars, or pull them ready-made (16 requests a coin instead
    of 1)."""
    series_type: Literal["open", "high", "low", "close"] = "close"
    """The price indicators are computed from."""

    extensions: Annotated[tuple[str, ...], NoDecode] = ()
    """Modules of your own, installed or in the home, with candidates, features, providers or alert
    channels."""


class MarketData(Group):
    """Where bars come from."""

    provider: str = "sandbox"
    """Where daily bars come from: sandbox, directory, alpha_vantage, exchange, or the name of an
    extension's."""
    alpha_vantage_api_key: SecretStr | None = None
    """Key of the alpha_vantage provider."""
    alpha_vantage_base_url: Url = Field(
        "https://www.alphavantage.co/query", json_schema_extra=HIDDEN
    )
    """Another address that answers as Alpha Vantage does."""
    alpha_vantage_plan: str = "free"
    """The key's plan, which sets the request budget: free, premium_75, premium_150, premium_300,
    premium_600, premium_1200, or limits such as 5/minute,500/day."""
    request_budget_dir: Path | None = Field(None, json_schema_extra=HIDDEN)
    """Local folder where all pools of this machine count a key's requests; default:
    .crypto_pool/request_budget in the home folder."""
    market_data_dir: Path | None = None
    """Folder of SYMBOL.csv or SYMBOL.parquet for the directory provider."""
    exchange: Literal["binance", "kraken", "coinbase"] = "binance"
    """Whose daily bars the exchange provider pulls; no key is needed."""
    quote_currency: Annotated[str, _such_as("USDT", r"[A-Za-z0-9]+")] | None = None
    """Currency of the exchange's prices; default: USDT on Binance, else USD."""
    exchange_url: Url | None = Field(None, json_schema_extra=HIDDEN)
    """Another address that answers as the exchange does, such as a sandbox."""


class Target(Group):
    """What is forecast."""

    prediction_window_days: int = Field(10, ge=10, le=LONGEST_HORIZON)
    """Horizon in calendar days."""
    target_pct: float = Field(0.05, gt=0, lt=1)
    """Move of the target that counts, as a fraction."""
    target: Literal["sma_shift", "forward_return"] = "sma_shift"
    """What is forecast: a shift of SMA10, or of the close."""
    first_prediction_date: date = Field(
        date(2018, 1, 1), ge=date(2009, 1, 1), le=date(2099, 12, 31)
    )
    """First day of the daily partitions."""


class Training(Group):
    """Training and judging."""

    training_rows: Rows = 1000
    """Latest labelled rows used for training."""
    min_history_bars: Rows = 365
    """Candidates are trained from so many real bars on."""
    evaluation_policy: Literal["purged_walk_forward", "holdout"] = "purged_walk_forward"
    """How candidates are evaluated and chosen."""
    calibration: Literal["anchored", "platt", "isotonic"] = "anchored"
    """How purged_walk_forward turns scores into probabilities."""
    selection: Literal["one_standard_error", "best"] = "one_standard_error"
    """Which candidate serves: the best of those better than the baseline beyond chance, or the best
    of all."""
    seed: Seed = 7
    """Seed of every candidate."""
    workers: int = Field(2, ge=1, le=64)
    """Training processes; more than there are cores take memory and save no time."""
    dask_scheduler: Annotated[str, SCHEDULER] | None = None
    """Dask scheduler whose workers train instead of local processes, for example
    tcp://10.0.0.5:8786; needs `crypto-pool[scale]`."""
    explained_rows: int = Field(60, ge=10, le=1000, json_schema_extra=HIDDEN)
    """Latest evaluation rows a champion's importance is measured on."""


class ChampionLife(Group):
    """The life of a champion."""

    refresh_after_days: Days = 30
    """Days after its training when a champion is old: a challenger that is not worse takes over."""
    review_window_days: Annotated[Days, Field(ge=100)] = 365
    """Latest days of outcomes a champion is judged by."""
    abstain_beyond_widths: float | None = Field(3.0, gt=0, le=1_000_000)
    """A forecast abstains after a move of ten daily sigmas, and if an input lies further outside
    its training span than this many widths of it; empty: however far."""


class Automation(Group):
    """Schedule and staleness."""

    automation_on: bool = False
    """Start with the daily schedule and the sensors switched on."""
    daily_at_utc: Annotated[str, TIME] = "00:20"
    """When the day that has closed is pulled, scored and forecast, HH:MM in UTC."""
    retrain_after_days: Days = 30
    """Days after its last training when a member is trained again."""
    retrain_daily_members: int = Field(40, ge=0, le=100_000)
    """Stale members trained a day, the worst first."""


class State(Group):
    """Where state lives."""

    dagster_home: Path = Field(
        DEFAULT_HOME, validation_alias=AliasChoices("DAGSTER_HOME", "dagster_home")
    )
    """The pool's home: folder of pool.toml, dagster.yaml and all state; the option --home wins."""
    data_dir: Path | None = None
    """Local folder of all state; default: data below DAGSTER_HOME."""
    parquet_root: str | None = None
    """Root of the Parquet files, a path or fsspec URI; default: in data_dir."""
    mlflow_backend_uri: SecretStr | None = None
    """MLflow's database if it is not the SQLite file in data_dir, for example
    postgresql://pool@db.internal/mlflow; needs `crypto-pool[scale]`."""
    mlflow_artifact_root: str | None = None
    """Root of MLflow's artifacts, a path or a URI such as s3://bucket/artifacts; default: in
    data_dir."""
    publication_root: str | None = None
    """Folder or fsspec URI that each publication of the DuckDB file is copied to, as
    crypto_pool.duckdb; empty: none."""


class Upkeep(Group):
    """Alerts and retention."""

    alert_webhook_url: SecretUrl | None = None
    """Slack-compatible webhook that is told of incidents beside the log."""
    heartbeat_url: SecretUrl | None = None
    """Address of a heartbeat service, fetched after each published day, and with /fail after a
    failed one: it tells you when this machine is off."""
    alert_daily_digest: bool = False
    """Tell each day's signals, what came due and whether promises were kept."""
    keep_runs_days: Days | None = 90
    """Days Dagster's runs and events are kept; empty: for ever."""
    keep_candidates_days: Days | None = 60
    """Days the artifacts of candidates without a registered version are kept; empty: for ever."""


class Serving(Group):
    """The API and the pages."""

    serving_host: Annotated[str, _such_as("127.0.0.1", r"\S+")] = "127.0.0.1"
    """Address the API and the pages listen on; beyond loopback it needs a token."""
    serving_port: int = Field(8000, ge=0, le=65535)
    """Port of the API and the pages."""
    page_url: Url = "http://127.0.0.1:8000"
    """Address of the pool's page, for links to it."""
    dagster_url: Url = "http://127.0.0.1:3000"
    """Address of the Dagster UI, for links to it."""
    mlflow_url: Url = "http://127.0.0.1:5000"
    """Address of the MLflow UI, for links to it."""
    serving_token: SecretStr | None = None
    """Bearer token every request to the API must carry, if set."""
    serving_allowed_hosts: Annotated[tuple[Annotated[str, HOST], ...], NoDecode] = ()
    """Names the API is reached by beside loopback and serving_host."""
    serving_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = ()
    """Addresses or networks of the proxies before the API, whose X-Forwarded-For says who asks; no
    other's does."""
    serving_rate_limit: Annotated[str, RATE] = "600/minute"
    """Requests one remote address may make, for example 600/minute."""


class Simulation(Group):
    """The synthetic market and the clock, all of them seams."""

    sandbox_url: Url | None = Field(None, json_schema_extra=HIDDEN)
    """Address of a running `crypto-pool sandbox`; empty: none is needed."""
    sandbox_seed: Seed = Field(7, json_schema_extra=HIDDEN)
    """Seed of the synthetic market."""
    sandbox_predictability: float = Field(0.15, ge=0, le=1, json_schema_extra=HIDDEN)
    """Planted drift of the synthetic market, in daily sigmas."""
    sandbox_trending_share: float = Field(1.0, ge=0, le=1, json_schema_extra=HIDDEN)
    """Share of its coins that have the planted drift."""
    sandbox_random_walk: bool = Field(False, json_schema_extra=HIDDEN)
    """Make the synthetic market a pure random walk."""
    simulated_now: datetime | None = Field(None, json_schema_extra=HIDDEN)
    """A fixed UTC clock, for replays and tests."""
    simulated_now_file: Path | None = Field(None, json_schema_extra=HIDDEN)
    """File with the UTC time, read whenever the time is asked for: one clock that all processes of
    a drill follow."""


class Groups(
    Scope,
    MarketData,
    Target,
    Training,
    ChampionLife,
    Automation,
    State,
    Upkeep,
    Serving,
    Simulation,
):
    """Every topic."""
