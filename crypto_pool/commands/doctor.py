"""The command `doctor`: what the pool rests on, looked at live, as a bug report would hold it."""

import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crypto_pool import __version__
from crypto_pool.commands import options
from crypto_pool.commands.ports import LOOPBACK, Place, is_taken, try_ports
from crypto_pool.commands.printing import console, print_json
from crypto_pool.errors import DailyQuotaExhausted, ExitCode, InsufficientHistory

if TYPE_CHECKING:
    import pandas as pd

    from crypto_pool.adapters.rate_limit import RequestBudget
    from crypto_pool.settings import Settings

LEAST_FREE_BYTES = 2 * 10**9
MOST_ON_ONE_CORE = 2  # the setting's default
PACKAGES = ("dagster", "mlflow", "duckdb", "pandas", "pyarrow", "ccxt")


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `is_ok` is None for what is told and not judged."""

    name: str
    is_ok: bool | None
    text: str


def doctor(
    symbol: Annotated[
        str | None, typer.Argument(help="The coin that is pulled; default: the first of the pool.")
    ] = None,
    provider: options.Provider = None,
    as_json: options.Json = False,
) -> None:
    """Pull one coin and look at what the pool rests on.

    Each line is ok, or comes with its way out.
    """
    from crypto_pool.defs.alerting import pool_alerts
    from crypto_pool.domain.symbols import parse_symbol

    settings = options.chosen_settings(None, provider)
    coin = parse_symbol(symbol) if symbol else settings.symbols[0]
    redact = pool_alerts(settings).redact
    findings = [Finding(f.name, f.is_ok, redact(f.text)) for f in _findings(settings, coin)]
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            mark = {True: "ok  ", False: "FAIL", None: "    "}[finding.is_ok]
            console.print(f"{mark} {finding.name}: {finding.text}", soft_wrap=True)
    if any(finding.is_ok is False for finding in findings):
        raise typer.Exit(ExitCode.MEMBERS_FAILED)


def _findings(settings: "Settings", coin: str) -> Iterator[Finding]:
    yield Finding("versions", None, _versions())
    yield Finding("home", None, f"{settings.dagster_home.resolve()}, data {settings.state_dir}")
    yield from _extensions(settings)
    yield _tried("disk", _disk, settings)
    yield _tried("ports", _ports, settings)
    yield _tried("workers", _workers, settings)
    yield from _source(settings, coin)
    yield _tried("MLflow", _mlflow, settings)
    yield _tried("Dagster", _dagster, settings)
    yield _tried("DuckDB", _duckdb, settings)
    yield from _judged("stored files", _files, settings)
    yield from _judged("champions", _champions, settings)


def _extensions(settings: "Settings") -> Iterator[Finding]:
    from crypto_pool.adapters.extensions import extension_codes
    from crypto_pool.setting_checks import load_extensions

    for name, fault in load_extensions(settings).items():
        yield Finding(f"extension {name}", False, fault)
    for name, code in extension_codes().items():
        yield Finding(f"extension {name}", True, f"code {code}")


def _tried(name: str, look: Callable[..., str], *at: Any) -> Finding:
    """A finding that is ok unless looking fails."""
    try:
        return Finding(name, True, look(*at))
    except Exception as fault:  # whatever is broken is what this command is there to tell
        return _failed(name, fault)


def _judged(
    name: str, look: Callable[["Settings"], list[str]], settings: "Settings"
) -> Iterator[Finding]:
    """A finding for each of many that is at fault, or one that all are well."""
    try:
        looked_at = look(settings)
    except Exception as fault:
        yield _failed(name, fault)
        return
    faults = [fault for fault in looked_at if fault]
    yield from (Finding(name, False, fault) for fault in faults)
    if not faults:
        yield Finding(name, True, f"{len(looked_at)} can be read")


def _failed(name: str, fault: Exception) -> Finding:
    return Finding(name, False, f"{type(fault).__name__}: {fault}")


def _source(settings: "Settings", coin: str) -> Iterator[Finding]:
    """The coin's bars as they are understood, and what stands in the way of their use."""
    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.adapters.providers import MeteredProvider
    from crypto_pool.adapters.providers.directory import DirectoryProvider
    from crypto_pool.defs.market_data import build_provider, own_source
    from crypto_pool.domain.bar_validation import validate_bars, why_too_young
    from crypto_pool.domain.breaks import level_breaks, volume_breaks
    from crypto_pool.workflow.history import why_blocked

    doing = "source"
    try:
        market = build_provider(settings)
        yield _tried(doing, own_source, settings)
        if isinstance(market, MeteredProvider):
            yield _tried("request budget", _budget, market.budget)
        if isinstance(market, DirectoryProvider):
            yield _tried("layout", market.layout, coin)
        doing, last = "bars", settings.last_closed()
        raw = market.daily_bars(coin, last)
        checked = validate_bars(raw, coin, last)
        if young := why_too_young(checked.bars, coin):
            raise InsufficientHistory(young)
    except Exception as fault:
        yield _failed(doing, fault)
        return
    bars = checked.bars
    enough = why_too_young(bars, coin, settings.min_history_bars)
    panel_alone = [f"left to the panel, without candidates: {enough}"] if enough else []
    text = f"{len(bars)} bars of {coin}, first {_shown(bars, 0)}, last {_shown(bars, -1)}"
    yield Finding(doing, True, "; ".join([text, *checked.faults.values(), *panel_alone]))
    blocked = why_blocked(FrameStore(settings.frames_root), coin, bars, last)
    others = ", ".join(map(str, (*level_breaks(bars), *volume_breaks(bars)))) or "none"
    yield Finding("breaks", not blocked, blocked or others)
    yield _clock(settings, bars)


def _clock(settings: "Settings", bars: "pd.DataFrame") -> Finding:
    """The clock beside the newest bar: one of them may be behind."""
    now, last = settings.now(), bars.index[-1].date()
    behind = (settings.last_closed() - last) / timedelta(days=1)
    simulated = ", simulated" if settings.is_clock_simulated else ""
    text = f"{now:%Y-%m-%d %H:%M} UTC{simulated}; the newest closed bar is {last}"
    if behind > 1:
        text += f", {behind:.0f} days behind: set the clock, or bring newer bars"
    return Finding("clock", behind <= 1, text)


def _shown(bars: "pd.DataFrame", row: int) -> str:
    values = ", ".join(f"{name} {bars[name].iloc[row]:g}" for name in bars.columns)
    return f"{bars.index[row]:%Y-%m-%d} ({values})"


def _versions() -> str:
    from importlib.metadata import version

    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    own = f"crypto_pool {__version__}"  # not that of the day when a checkout was installed
    return ", ".join([python, own, *(f"{name} {version(name)}" for name in PACKAGES)])


def _disk(settings: "Settings") -> str:
    folder = next(
        path for path in (settings.state_dir, *settings.state_dir.parents) if path.exists()
    )
    free = shutil.disk_usage(folder).free
    text = f"{free / 10**9:.1f} GB free at {folder}"
    if free < LEAST_FREE_BYTES:
        raise OSError(f"{text}, at least {LEAST_FREE_BYTES / 10**9:g} GB are needed: make room")
    return text


def _ports(settings: "Settings") -> str:
    from crypto_pool.errors import InvalidSetting

    places = []
    for place in (
        Place(settings.serving_host, settings.serving_port, "CRYPTO_POOL_SERVING_PORT"),
        Place(LOOPBACK, 3000, "up --dagster-port N"),
        Place(LOOPBACK, 5000, "up --mlflow-port N"),
    ):
        try:
            try_ports(place)
            places.append(f"{place.port} free")
        except InvalidSetting as fault:
            if not is_taken(fault.__cause__):
                raise
            # By a running pool, as it should be, or by another program.
            places.append(f"{place.port} in use ({place.chosen_with} chooses another)")
    return ", ".join(places)


def _workers(settings: "Settings") -> str:
    from joblib import cpu_count

    from crypto_pool.domain.addresses import without_credentials
    from crypto_pool.errors import InvalidSetting

    if settings.dask_scheduler is not None:
        return f"those of {without_credentials(settings.dask_scheduler)}"
    cores = cpu_count()
    text = f"{settings.workers} training processes, {cores} cores"
    if settings.workers > max(cores, MOST_ON_ONE_CORE):
        raise InvalidSetting(
            f"{text}: more of them take memory and save no time; set CRYPTO_POOL_WORKERS to {cores}"
        )
    return text


def _budget(budget: "RequestBudget") -> str:
    left, spent = budget.left_today(), budget.spent_today()
    if left == 0:
        free_at = f"{budget.free_at(1, 0):%Y-%m-%d %H:%M} UTC"
        raise DailyQuotaExhausted(f"{spent} requests in 24 hours, none left: wait until {free_at}")
    return f"{spent} requests in 24 hours, {'no limit' if left is None else f'{left} left'}"


def _mlflow(settings: "Settings") -> str:
    from crypto_pool.adapters.sqlite_files import sqlite_path

    address = settings.tracking_uri
    file = sqlite_path(address)
    if file is not None and not file.exists():
        return "no store yet; the first build makes it"
    from mlflow import MlflowClient

    count = len(MlflowClient(address).search_experiments(max_results=1000))
    return f"{count} experiments in {address.partition(':')[0]}"


def _dagster(settings: "Settings") -> str:
    from crypto_pool.building import open_instance
    from crypto_pool.home import damaged_databases

    if damaged := damaged_databases(settings.dagster_home):
        raise OSError(f"{'; '.join(damaged)}: put the file back, or restore a backup")
    with open_instance(settings) as instance:
        return f"{instance.get_runs_count()} runs"


def _duckdb(settings: "Settings") -> str:
    from crypto_pool.adapters.prediction_tables import LINK_NAME, query_arrow

    if not (settings.state_dir / LINK_NAME).exists():
        return "nothing published yet; the first build does it"
    rows = query_arrow(settings.state_dir, "SELECT count(*) AS n FROM predictions").to_pylist()
    return f"{rows[0]['n']} predictions published"


def _files(settings: "Settings") -> list[str]:
    from crypto_pool.adapters.frame_store import FrameStore

    return list(FrameStore(settings.frames_root).look_through())


def _champions(settings: "Settings") -> list[str]:
    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.adapters.ledger import Ledger
    from crypto_pool.adapters.mlflow import ModelRegistry
    from crypto_pool.workflow.promotion.examining import examine_champions

    store = FrameStore(settings.frames_root)
    decisions = Ledger(store).by_member()
    if not decisions and not decisions.faults:
        return []
    registry = ModelRegistry(settings.tracking_uri, settings.artifact_root).prepare()
    faults = examine_champions(store, registry, decisions)
    return [fault and f"{name}: {fault}" for name, fault in faults.items()]
