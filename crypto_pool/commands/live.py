"""The command `live`: a pool with a past, as it would have been then."""

from typing import TYPE_CHECKING, Annotated

import typer

from crypto_pool.commands.build import finish, open_pool, require_bars
from crypto_pool.commands.options import (
    JsonOption,
    ProviderOption,
    SymbolsOption,
    chosen_date,
    chosen_settings,
    read_date,
)
from crypto_pool.commands.printing import print_json
from crypto_pool.errors import InvalidSetting

if TYPE_CHECKING:
    from datetime import date as Day

    from crypto_pool.settings import Settings


def live(
    start: Annotated[str, typer.Option("--from", help="First bar date, YYYY-MM-DD.")],
    end: Annotated[
        str | None, typer.Option("--to", help="Last bar date; default: the latest closed day.")
    ] = None,
    retrain_every_days: Annotated[
        int | None,
        typer.Option(min=1, help="Days between trainings; default: CRYPTO_POOL_RETRAIN_AFTER_DAYS"),
    ] = None,
    symbols: SymbolsOption = None,
    provider: ProviderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Live through past days, as it would have been then.

    The pool is trained, promotes, forecasts each day in time, scores and reviews from what was
    known then. Run again with the same dates, it goes on where it was stopped.
    """
    settings = chosen_settings(symbols, provider)
    first, last = read_date("--from", start), chosen_date(end, settings)
    _require_order(settings, first, last)
    require_bars(settings, last)
    from crypto_pool.living import Life
    from crypto_pool.living import live as live_through

    life = Life(first, last, retrain_every_days or settings.retrain_after_days)
    with open_pool(settings, as_json) as (instance, speak):
        report = live_through(instance, settings, life, speak)
    if as_json:
        print_json({"failures": report.failures, "runs": report.runs})
    finish(report, as_json)


def _require_order(settings: "Settings", first: "Day", last: "Day") -> None:
    begin = settings.first_prediction_date
    if first < begin:
        raise InvalidSetting(
            f"--from {first} lies before {begin}, the first day of forecasts: begin later, or set "
            "first_prediction_date in pool.toml"
        )
    if last < first:
        raise InvalidSetting(f"--to {last} lies before --from {first}.")
