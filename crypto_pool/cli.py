"""The command `crypto-pool`."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from crypto_pool.errors import CryptoPoolError, InvalidSetting

if TYPE_CHECKING:
    from datetime import date

    import pandas as pd
    from dagster import DagsterInstance

    from crypto_pool.building import BuildReport, Layer
    from crypto_pool.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A pool of crypto trend forecasters that runs itself and keeps its promises.",
)
console = Console()

SymbolsOption = Annotated[
    str | None, typer.Option(help="Coins, comma-separated; 'all' for the default 20.")
]
ProviderOption = Annotated[str | None, typer.Option(help="Source of bars: sandbox or directory.")]
DateOption = Annotated[
    str | None, typer.Option(help="Closed bar date, YYYY-MM-DD; default: the latest closed day.")
]
DEMO_SYMBOLS = "BTC,ETH,SOL,ADA,XRP"


@app.command()
def demo(symbols: SymbolsOption = None) -> None:
    """Run the whole pool once on the synthetic market: no key, no network."""
    settings = _settings(
        symbols or os.environ.get("CRYPTO_POOL_SYMBOLS") or DEMO_SYMBOLS, "sandbox"
    )
    from crypto_pool.building import EVERYTHING

    console.print("[bold]Synthetic market[/bold]: nothing below is about real coins.")
    report = _run(settings, None, EVERYTHING)
    _print_forecasts(settings)
    console.print(
        "Next: [bold]crypto-pool up[/bold] (Dagster and MLflow in the browser), "
        "[bold]crypto-pool status[/bold], "
        '[bold]crypto-pool query "SELECT * FROM predictions"[/bold].'
    )
    _finish(report)


@app.command()
def build(
    date: DateOption = None, symbols: SymbolsOption = None, provider: ProviderOption = None
) -> None:
    """Run the whole graph as of a bar date; stored bars are never truncated for it."""
    from crypto_pool.building import EVERYTHING

    settings = _settings(symbols, provider)
    report = _run(settings, date, EVERYTHING)
    _print_forecasts(settings)
    _finish(report)


@app.command()
def train(
    date: DateOption = None, symbols: SymbolsOption = None, provider: ProviderOption = None
) -> None:
    """Train the candidates and choose the champions, from the stored features."""
    from crypto_pool.building import PUBLICATION, TRAINING

    _finish(_run(_settings(symbols, provider), date, (TRAINING, PUBLICATION)))


@app.command()
def predict(
    date: DateOption = None, symbols: SymbolsOption = None, provider: ProviderOption = None
) -> None:
    """Forecast a closed bar date with the champions, from the stored features."""
    from crypto_pool.building import PREDICTIONS, PUBLICATION

    settings = _settings(symbols, provider)
    report = _run(settings, date, (PREDICTIONS, PUBLICATION))
    _print_forecasts(settings)
    _finish(report)


@app.command()
def query(sql: Annotated[str, typer.Argument(help="SQL over the published DuckDB file.")]) -> None:
    """Ask the published DuckDB file, read-only."""
    from crypto_pool.adapters.prediction_tables import query as ask

    _print_frame(ask(_settings(None, None).state_dir, sql))


@app.command()
def status() -> None:
    """Show every member: its champion, and its latest forecast."""
    from crypto_pool.adapters.prediction_tables import query as ask

    settings = _settings(None, None)
    frame = ask(
        settings.state_dir,
        """
        WITH latest AS (
            SELECT * FROM predictions
            QUALIFY row_number() OVER (PARTITION BY symbol, trend ORDER BY prediction_date DESC) = 1
        )
        SELECT c.symbol, c.trend, c.algorithm, c.model_version AS version, c.trained_through,
               c.overall_score, c.precision, l.prediction_date, l.probability,
               l.reference_probability AS reference, l.signal, l.status
        FROM champions c LEFT JOIN latest l USING (symbol, trend)
        ORDER BY c.symbol, c.trend DESC
        """,
    )
    have = {(row["symbol"], row["trend"]) for row in frame.to_dict("records")}
    without = [
        f"{symbol}_{trend}"
        for symbol in settings.symbols
        for trend in ("uptrend", "downtrend")
        if (symbol, trend) not in have
    ]
    _print_frame(frame)
    console.print(f"Source of bars: {settings.provider}. Data: {settings.state_dir}")
    if without:
        console.print(f"Without a champion: {', '.join(without)}")


@app.command()
def up(
    dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
) -> None:
    """Serve the Dagster UI, its daemon and MLflow on loopback until Ctrl-C."""
    from crypto_pool.building import open_instance, recover

    settings = _settings(None, None)
    with open_instance(settings) as instance:
        recover(instance, settings)
    scripts = Path(sys.executable).parent
    module = ["-m", "crypto_pool.definitions"]
    commands = [
        [scripts / "dagster-webserver", "-h", "127.0.0.1", "-p", str(dagster_port), *module],
        [scripts / "dagster-daemon", "run", *module],
        [scripts / "mlflow", "server", "--host", "127.0.0.1", "--port", str(mlflow_port),
         "--backend-store-uri", settings.tracking_uri,
         "--default-artifact-root", settings.artifact_root],
    ]  # fmt: skip
    console.print(f"Dagster  http://127.0.0.1:{dagster_port}")
    console.print(f"MLflow   http://127.0.0.1:{mlflow_port}")
    code = _supervise([[str(part) for part in command] for command in commands])
    with open_instance(settings) as instance:
        _cancel_runs(instance)
        recover(instance, settings)
    raise typer.Exit(code)


def _cancel_runs(instance: "DagsterInstance") -> None:
    """Put on record that runs of the UI ended with it; one left as started blocks the queue."""
    from dagster import DagsterRunStatus, RunsFilter

    from crypto_pool.building import PROCESS_TAG

    begun = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    for run in instance.get_runs(RunsFilter(statuses=begun)):
        if PROCESS_TAG not in run.tags:
            instance.report_run_canceled(run, "stopped with `crypto-pool up`")
            console.print(f"canceled run {run.run_id}")


def _supervise(commands: list[list[str]]) -> int:
    """Run the services until one ends or Ctrl-C; stop all, return the exit code."""
    # Also when started in the background of a script, where the shell has SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    services = [subprocess.Popen(command, start_new_session=True) for command in commands]
    try:
        ended, _ = os.wait()
        code = 1
        names = {
            service.pid: Path(command[0]).name
            for service, command in zip(services, commands, strict=True)
        }
        console.print(f"{names.get(ended, ended)} ended; stopping the others.")
    except KeyboardInterrupt:
        code = 0
    for service in services:
        if service.poll() is None:
            service.send_signal(signal.SIGINT)
    deadline = monotonic() + 20
    for service in services:
        with suppress(subprocess.TimeoutExpired):
            service.wait(timeout=max(0.0, deadline - monotonic()))
        # Each service leads a process group: what it left of its own workers goes with it.
        with suppress(ProcessLookupError):
            os.killpg(service.pid, signal.SIGKILL)
        service.wait()
    return code


def _settings(symbols: str | None, provider: str | None) -> "Settings":
    """Let options win over the environment, for this process and those it starts."""
    from crypto_pool.settings import DEFAULT_SYMBOLS, load_settings

    if symbols:
        chosen = ",".join(DEFAULT_SYMBOLS) if symbols.lower() == "all" else symbols
        os.environ["CRYPTO_POOL_SYMBOLS"] = chosen
    if provider:
        os.environ["CRYPTO_POOL_PROVIDER"] = provider
    return load_settings()


def _run(settings: "Settings", bar_date: str | None, layers: "tuple[Layer, ...]") -> "BuildReport":
    from crypto_pool.building import open_instance, recover, run_layers

    day = _day(bar_date, settings)
    with open_instance(settings) as instance:
        for run_id in recover(instance, settings):
            console.print(f"ended run {run_id}, left by a killed process")
        return run_layers(instance, settings, day, layers, console.print)


def _day(text: str | None, settings: "Settings") -> "date":
    from datetime import date

    if text is None:
        return settings.last_closed()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidSetting(f"--date {text!r} is not a date; use YYYY-MM-DD.") from None


def _print_forecasts(settings: "Settings") -> None:
    from crypto_pool.adapters.prediction_tables import query as ask

    frame = ask(
        settings.state_dir,
        """
        SELECT prediction_date, symbol, trend, probability, reference_probability AS reference,
               signal, status, algorithm, model_version AS version, in_sample, synthetic
        FROM predictions WHERE prediction_date = (SELECT max(prediction_date) FROM predictions)
        ORDER BY symbol, trend DESC
        """,
    )
    _print_frame(frame)


def _print_frame(frame: "pd.DataFrame") -> None:
    table = Table(*map(str, frame.columns), box=SIMPLE, padding=(0, 1, 0, 0))
    for row in frame.itertuples(index=False):
        table.add_row(*map(_shown, row))
    # Off a terminal a table keeps its width, so that it can be searched and piped.
    wide = console if console.is_terminal else Console(width=400)
    wide.print(table)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value).removesuffix(" 00:00:00")


def _finish(report: "BuildReport") -> None:
    if not report.failures:
        return
    console.print(f"[bold]{len(report.failures)} failed:[/bold]")
    for failure in report.failures:
        console.print(f"  {failure}", markup=False)
    raise typer.Exit(1)


def main() -> None:
    """Run the command; a user's mistake is one message and exit code 2, never a trace."""
    try:
        app()
    except CryptoPoolError as error:
        Console(stderr=True).print(str(error), markup=False)
        sys.exit(2)
