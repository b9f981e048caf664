"""Commands that run layers of the graph: `demo`, `build`, `train`, `predict`, and `live`."""

from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crypto_pool.commands import options
from crypto_pool.commands.printing import messages, print_json, print_rows, records
from crypto_pool.commands.sandbox import running_sandbox
from crypto_pool.domain.dates import read_date
from crypto_pool.errors import CryptoPoolError, ExitCode, InvalidSetting, QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date as Day

    from dagster import DagsterInstance

    from crypto_pool.building import BuildReport
    from crypto_pool.settings import Settings

DEMO_DAYS = 120
# A coin in which candidates find a drift, and one in which there is none to be found.
DEMO_SYMBOLS = "BTC,SOL"
DEMO_MARKET = {"sandbox_predictability": 0.6, "sandbox_trending_share": 0.3}
FORECASTS = """
    SELECT prediction_date, symbol, trend, probability, reference_probability AS reference,
           signal, status, algorithm, model_version AS version, in_sample, synthetic
    FROM predictions WHERE prediction_date = DATE '{day}'
    ORDER BY symbol, trend DESC
"""
WITHOUT_FORECAST = """
    SELECT symbol, trend, reason FROM missing_forecasts
    WHERE prediction_date = DATE '{day}' ORDER BY symbol, trend DESC
"""


def demo(
    symbols: options.Symbols = None,
    days: Annotated[
        int, typer.Option(min=1, help="Days up to the latest closed one that it lives through.")
    ] = DEMO_DAYS,
    as_json: options.Json = False,
) -> None:
    """Let a pool live for some months on a synthetic market.

    It needs no key and no network. The home's pool.toml then names the coins of the demo.
    """
    from crypto_pool.settings import load_settings

    settings = options.chosen_settings(symbols, "sandbox")
    if settings.chosen_symbols is None:
        settings = options.chosen_settings(DEMO_SYMBOLS, "sandbox")
    first = _write_demo_home(settings, days)
    load_settings.cache_clear()
    settings = load_settings()
    speak = messages(as_json).print
    speak(
        "[bold]Synthetic market[/bold]: nothing below is about real coins. Some of them have a "
        "planted drift that candidates can find, and all a volatility that changes.",
        markup=True,
    )
    day = settings.last_closed()
    with running_sandbox(settings), open_pool(load_settings(), as_json, first) as (instance, say):
        from crypto_pool.living import live
        from crypto_pool.replay.plan import Life

        life = Life(first, day, retrain_every_days=max(1, days // 2))
        report = live(instance, load_settings(), life, say)
    forecasts = _show_forecasts(settings, day, as_json)
    speak(
        "Next: [bold]crypto-pool up[/bold] (the pool's page, Dagster and MLflow in the browser), "
        '[bold]crypto-pool status[/bold], [bold]crypto-pool query "FROM today"[/bold].',
        markup=True,
    )
    finish(report, as_json, predictions=forecasts)


def _write_demo_home(settings: "Settings", days: int) -> "Day":
    """Write the pool.toml of the demo: its coins, its market and its first day, which is returned.

    A home of a demo keeps its first day: what is new on the next day is that day.
    """
    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.home import write_pool_file

    first = latest = settings.last_closed() - timedelta(days=days - 1)
    if "first_prediction_date" in settings.model_fields_set:
        first = settings.first_prediction_date
    market = {name: getattr(settings, name) for name in settings.model_fields_set & {*DEMO_MARKET}}
    if not market and FrameStore(settings.frames_root).source() is None:
        market = DEMO_MARKET  # else the bars that are stored stay those of their market
    values = {"symbols": settings.symbols, "first_prediction_date": first, **market}
    is_ours = write_pool_file(settings.dagster_home, values)
    return first if is_ours else max(first, latest)


def _running(name: str, says: str, *stages: str) -> "Callable[..., None]":
    """Return a command that runs some stages of a day, by their keys; without any all."""

    def command(
        date: options.Date = None,
        symbols: options.Symbols = None,
        provider: options.Provider = None,
        as_json: options.Json = False,
    ) -> None:
        settings = options.chosen_settings(symbols, provider)
        day = settings.closed_day("--date", date)
        from crypto_pool.building import run_layers
        from crypto_pool.defs.stages import FEATURES, PREDICTIONS, STAGES, TRAINING

        layers = [stage for stage in STAGES if not stages or stage.key in stages]
        if PREDICTIONS in layers:
            _require_partition(settings, day)
        if FEATURES in layers or TRAINING in layers:
            require_bars(settings, day, are_pulled=FEATURES in layers)
        result: dict[str, Any] = {}
        trained = day if TRAINING in layers else None
        with open_pool(settings, as_json, trained) as (instance, speak):
            report = run_layers(instance, settings, day, layers, speak)
        if PREDICTIONS in layers:
            try:
                result = _show_forecasts(settings, day, as_json)
            except QueryError:  # nothing of the day is published, and the failures say why
                if not report.failures:
                    raise
            if not (report.failures or result["predictions"]):
                report.failures.extend(
                    f"{row['symbol']}_{row['trend']}: {row['reason']}"
                    for row in result["without_forecast"]
                )
        finish(report, as_json, **result)

    command.__name__, command.__doc__ = name, says
    return command


build = _running(
    "build",
    "Run the whole graph as of a bar date.\n\n"
    "Bars after it are kept as they are stored, and not used.",
)
train = _running(
    "train",
    "Train candidates on stored features, choose champions.",
    *("training", "tables", "panel"),
)
predict = _running(
    "predict",
    "Forecast a closed bar date, and score what has matured.",
    *("forecasts", "outcomes", "tables"),
)


def live(
    start: Annotated[str, typer.Option("--from", help="First bar date, YYYY-MM-DD.")],
    end: Annotated[
        str | None, typer.Option("--to", help="Last bar date; default: the latest closed day.")
    ] = None,
    retrain_every_days: Annotated[
        int | None,
        typer.Option(min=1, help="Days from one training to the next; default: whoever is stale."),
    ] = None,
    symbols: options.Symbols = None,
    provider: options.Provider = None,
    as_json: options.Json = False,
) -> None:
    """Live through past days, as it would have been then.

    Each day what has matured is scored and reviewed, whoever is stale is trained, and the day is
    forecast, from what was known then. With --retrain-every-days up to ten days are done together,
    which is quicker. Run again with the same dates, it goes on where it was stopped.
    """
    settings = options.chosen_settings(symbols, provider)
    first, last = read_date("--from", start), settings.closed_day("--to", end)
    _require_partition(settings, first)
    if last < first:
        raise InvalidSetting(f"--to {last} lies before --from {first}.")
    require_bars(settings, last)
    from crypto_pool.living import live as live_through
    from crypto_pool.replay.plan import Life

    life = Life(first, last, retrain_every_days)
    with open_pool(settings, as_json, first) as (instance, speak):
        report = live_through(instance, settings, life, speak)
    finish(report, as_json)


@contextmanager
def open_pool(
    settings: "Settings", as_json: bool, trained: "Day | None" = None
) -> "Iterator[tuple[DagsterInstance, Callable[[str], None]]]":
    """Open the Dagster instance once what a killed process left is ended; give where to speak.

    `trained` is the bar date of a training that is to come. Raises ProviderMismatch where the
    folder holds bars of another source, before anything is made.
    """
    from crypto_pool.building import begin_workers, open_instance
    from crypto_pool.defs.market_data import own_source
    from crypto_pool.recovery import recover

    own_source(settings)
    speak = messages(as_json).print
    if trained is not None:
        begin_workers(settings, trained)
    with open_instance(settings) as instance:
        for run_id in recover(instance, settings):
            speak(f"ended run {run_id}, left by a killed process")
        yield instance, speak


def _require_partition(settings: "Settings", day: "Day") -> None:
    """Refuse a day that forecasts are not kept of, before anything runs."""
    first = settings.first_prediction_date
    if day < first:
        raise InvalidSetting(
            f"bar_date {day} lies before {first}, the first day of forecasts; ask for a later "
            "day, or set CRYPTO_POOL_FIRST_PREDICTION_DATE."
        )


def require_bars(settings: "Settings", day: "Day", *, are_pulled: bool = True) -> None:
    """Refuse files of bars that all end before a day, or are to be pulled and are not there."""
    from crypto_pool.adapters.providers.directory import DirectoryProvider
    from crypto_pool.defs.market_data import build_provider

    provider = build_provider(settings)
    if not isinstance(provider, DirectoryProvider):
        return
    if are_pulled:
        provider.require_folder()
    ends = []
    for symbol in settings.symbols:
        with suppress(CryptoPoolError):  # a coin that cannot be read is told by name where it fails
            ends.append(provider.daily_bars(symbol, day).index.max().date())
    if ends and max(ends) < day:
        raise InvalidSetting(
            f"the bars in {settings.market_data_dir} end on {max(ends)}, and {day} was asked for: "
            f"give `--date {max(ends)}` (to `live`, `--to`), or put newer files there"
        )


def _show_forecasts(settings: "Settings", day: "Day", as_json: bool) -> dict[str, Any]:
    """Return a day's forecasts and who has none, shown already where they are for people."""
    from crypto_pool.adapters.prediction_tables import query_arrow

    rows, without = (
        records(query_arrow(settings.state_dir, query.format(day=day)))
        for query in (FORECASTS, WITHOUT_FORECAST)
    )
    if not rows:
        messages(as_json).print(f"No forecast for {day} is stored.")
    elif not as_json:
        print_rows(
            [
                {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}
                for row in rows
            ]
        )
    if without and not as_json:
        speak = messages(as_json).print
        speak(f"{len(without)} members without a forecast:", style="bold")
        for reason in dict.fromkeys(row["reason"] for row in without):
            speak(f"  {reason}", soft_wrap=True)
    return {"predictions": rows, "without_forecast": without}


def finish(report: "BuildReport", as_json: bool, **result: Any) -> None:
    """Print the result if JSON is asked for, list what failed, end with the code of its cause."""
    if as_json:
        print_json({**result, "failures": report.failures, "runs": report.runs})
    if not report.failures:
        return
    speak = messages(as_json).print
    speak(f"{len(report.failures)} failed:", style="bold")
    for failure in report.failures:
        speak(f"  {failure}", soft_wrap=True)
    refused = report.source_gave_nothing
    raise typer.Exit(ExitCode.PROVIDER if refused else ExitCode.MEMBERS_FAILED)
