"""Commands that run layers of the graph: `demo`, `build`, `train`, `predict`."""

from typing import TYPE_CHECKING

import typer

from crypto_pool.commands.exit_codes import ExitCode
from crypto_pool.commands.options import (
    DateOption,
    JsonOption,
    ProviderOption,
    SymbolsOption,
    chosen_date,
    chosen_settings,
)
from crypto_pool.commands.printing import messages, print_frame, print_json, records
from crypto_pool.commands.sandbox import running_sandbox

if TYPE_CHECKING:
    from crypto_pool.building import BuildReport, Layer
    from crypto_pool.settings import Settings

DEMO_SYMBOLS = "BTC,ETH,SOL,ADA,XRP"
FORECASTS = """
    SELECT prediction_date, symbol, trend, probability, reference_probability AS reference,
           signal, status, algorithm, model_version AS version, in_sample, synthetic
    FROM predictions WHERE prediction_date = (SELECT max(prediction_date) FROM predictions)
    ORDER BY symbol, trend DESC
"""


def demo(symbols: SymbolsOption = None, as_json: JsonOption = False) -> None:
    """Run the whole pool once on the synthetic market: no key, no network."""
    from crypto_pool.building import EVERYTHING
    from crypto_pool.settings import load_settings

    settings = chosen_settings(symbols, "sandbox")
    if settings.asked_symbols is None:
        load_settings.cache_clear()
        settings = chosen_settings(DEMO_SYMBOLS, "sandbox")
    speak = messages(as_json).print
    speak("[bold]Synthetic market[/bold]: nothing below is about real coins.")
    with running_sandbox(settings):
        report = _run(load_settings(), None, EVERYTHING, as_json)
    _print_forecasts(settings, report, as_json)
    speak(
        "Next: [bold]crypto-pool up[/bold] (the pool's page, Dagster and MLflow in the browser), "
        "[bold]crypto-pool status[/bold], "
        '[bold]crypto-pool query "SELECT * FROM predictions"[/bold].'
    )
    _finish(report, as_json)


def build(
    date: DateOption = None,
    symbols: SymbolsOption = None,
    provider: ProviderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the whole graph as of a bar date; stored bars are never truncated for it."""
    settings = chosen_settings(symbols, provider)
    from crypto_pool.building import EVERYTHING

    report = _run(settings, date, EVERYTHING, as_json)
    _print_forecasts(settings, report, as_json)
    _finish(report, as_json)


def train(
    date: DateOption = None,
    symbols: SymbolsOption = None,
    provider: ProviderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the candidates and choose the champions, from the stored features."""
    settings = chosen_settings(symbols, provider)
    from crypto_pool.building import PUBLICATION, TRAINING

    report = _run(settings, date, (TRAINING, PUBLICATION), as_json)
    if as_json:
        print_json({"failures": report.failures, "runs": report.runs})
    _finish(report, as_json)


def predict(
    date: DateOption = None,
    symbols: SymbolsOption = None,
    provider: ProviderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast a closed bar date with the champions, from the stored features."""
    settings = chosen_settings(symbols, provider)
    from crypto_pool.building import PREDICTIONS, PUBLICATION

    report = _run(settings, date, (PREDICTIONS, PUBLICATION), as_json)
    _print_forecasts(settings, report, as_json)
    _finish(report, as_json)


def _run(
    settings: "Settings", bar_date: str | None, layers: "tuple[Layer, ...]", as_json: bool
) -> "BuildReport":
    from crypto_pool.building import FEATURES, open_instance, run_layers
    from crypto_pool.defs.market_data import build_provider
    from crypto_pool.recovery import recover

    day = chosen_date(bar_date, settings)
    speak = messages(as_json).print
    if FEATURES in layers:
        build_provider(settings)  # a source that cannot be asked is said before anything runs
    with open_instance(settings) as instance:
        for run_id in recover(instance, settings):
            speak(f"ended run {run_id}, left by a killed process")
        return run_layers(instance, settings, day, layers, speak)


def _print_forecasts(settings: "Settings", report: "BuildReport", as_json: bool) -> None:
    from crypto_pool.adapters.prediction_tables import query

    frame = query(settings.state_dir, FORECASTS)
    if as_json:
        print_json(
            {"predictions": records(frame), "failures": report.failures, "runs": report.runs}
        )
    else:
        print_frame(frame)


def _finish(report: "BuildReport", as_json: bool) -> None:
    if not report.failures:
        return
    speak = messages(as_json).print
    speak(f"[bold]{len(report.failures)} failed:[/bold]")
    for failure in report.failures:
        speak(f"  {failure}", markup=False, soft_wrap=True)
    refused = report.source_gave_nothing
    raise typer.Exit(ExitCode.PROVIDER if refused else ExitCode.MEMBERS_FAILED)
