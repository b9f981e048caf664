"""Commands that run layers of the graph: `demo`, `build`, `train`, `predict`."""

import os
from typing import TYPE_CHECKING

import typer

from crypto_pool.commands.options import (
    DateOption,
    ProviderOption,
    SymbolsOption,
    chosen_date,
    chosen_settings,
)
from crypto_pool.commands.printing import console, print_frame
from crypto_pool.commands.sandbox import running_sandbox

if TYPE_CHECKING:
    from crypto_pool.building import BuildReport, Layer
    from crypto_pool.settings import Settings

DEMO_SYMBOLS = "BTC,ETH,SOL,ADA,XRP"


def demo(symbols: SymbolsOption = None) -> None:
    """Run the whole pool once on the synthetic market: no key, no network."""
    settings = chosen_settings(
        symbols or os.environ.get("CRYPTO_POOL_SYMBOLS") or DEMO_SYMBOLS, "sandbox"
    )
    from crypto_pool.building import EVERYTHING
    from crypto_pool.settings import load_settings

    console.print("[bold]Synthetic market[/bold]: nothing below is about real coins.")
    with running_sandbox(settings):
        report = _run(load_settings(), None, EVERYTHING)
    _print_forecasts(settings)
    console.print(
        "Next: [bold]crypto-pool up[/bold] (Dagster and MLflow in the browser), "
        "[bold]crypto-pool status[/bold], "
        '[bold]crypto-pool query "SELECT * FROM predictions"[/bold].'
    )
    _finish(report)


def build(
    date: DateOption = None, symbols: SymbolsOption = None, provider: ProviderOption = None
) -> None:
    """Run the whole graph as of a bar date; stored bars are never truncated for it."""
    from crypto_pool.building import EVERYTHING

    settings = chosen_settings(symbols, provider)
    report = _run(settings, date, EVERYTHING)
    _print_forecasts(settings)
    _finish(report)


def train(
    date: DateOption = None, symbols: SymbolsOption = None, provider: ProviderOption = None
) -> None:
    """Train the candidates and choose the champions, from the stored features."""
    from crypto_pool.building import PUBLICATION, TRAINING

    _finish(_run(chosen_settings(symbols, provider), date, (TRAINING, PUBLICATION)))


def predict(
    date: DateOption = None, symbols: SymbolsOption = None, provider: ProviderOption = None
) -> None:
    """Forecast a closed bar date with the champions, from the stored features."""
    from crypto_pool.building import PREDICTIONS, PUBLICATION

    settings = chosen_settings(symbols, provider)
    report = _run(settings, date, (PREDICTIONS, PUBLICATION))
    _print_forecasts(settings)
    _finish(report)


def _run(settings: "Settings", bar_date: str | None, layers: "tuple[Layer, ...]") -> "BuildReport":
    from crypto_pool.building import FEATURES, open_instance, recover, run_layers
    from crypto_pool.defs.market_data import build_provider

    day = chosen_date(bar_date, settings)
    if FEATURES in layers:
        build_provider(settings)  # a source that cannot be asked is said before anything runs
    with open_instance(settings) as instance:
        for run_id in recover(instance, settings):
            console.print(f"ended run {run_id}, left by a killed process")
        return run_layers(instance, settings, day, layers, console.print)


def _print_forecasts(settings: "Settings") -> None:
    from crypto_pool.adapters.prediction_tables import query

    frame = query(
        settings.state_dir,
        """
        SELECT prediction_date, symbol, trend, probability, reference_probability AS reference,
               signal, status, algorithm, model_version AS version, in_sample, synthetic
        FROM predictions WHERE prediction_date = (SELECT max(prediction_date) FROM predictions)
        ORDER BY symbol, trend DESC
        """,
    )
    print_frame(frame)


def _finish(report: "BuildReport") -> None:
    if not report.failures:
        return
    console.print(f"[bold]{len(report.failures)} failed:[/bold]")
    for failure in report.failures:
        console.print(f"  {failure}", markup=False)
    raise typer.Exit(1)
