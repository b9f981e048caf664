"""The commands `new` and `settings`: a home of a pool's own, and what holds in it."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crypto_pool.commands import options
from crypto_pool.commands.printing import messages, show
from crypto_pool.domain.symbols import parse_symbol
from crypto_pool.errors import CryptoPoolError, InvalidSetting

if TYPE_CHECKING:
    from crypto_pool.settings import Settings

FIRST_FORECAST_BARS = 120


def new(
    home: Annotated[Path, typer.Argument(help="Folder to make, for example my_pool.")],
    provider: options.Provider = None,
    bars: Annotated[
        Path | None,
        typer.Option(help="Folder of SYMBOL.csv or .parquet, for the provider directory."),
    ] = None,
    symbols: options.Symbols = None,
    as_json: options.Json = False,
) -> None:
    """Make a home for a pool, with its pool.toml."""
    from crypto_pool.home import write_pool_file
    from crypto_pool.setting_sources import POOL_FILE

    file = home / POOL_FILE
    if file.exists():
        raise InvalidSetting(f"{file} is there already: change it, or name another folder.")
    values: dict[str, Any] = {}
    if provider or bars:
        values["provider"] = provider or "directory"
    if bars is not None:
        values["market_data_dir"] = str(bars.resolve())
    if symbols:
        values["symbols"] = list(options.read_symbols(symbols))
    values |= _checked(home, values, partial(messages(as_json).print, soft_wrap=True))
    write_pool_file(home, values)
    show(
        as_json,
        {"home": str(home.resolve()), "pool_file": str(file), "settings": plain(values)},
        f"{file} is written. Next: `crypto-pool --home {quote(f'{home}')} build`, or once and for "
        f"all `export DAGSTER_HOME={quote(f'{home}')}`; secrets go into {home / '.env'}.",
    )


def settings(as_json: options.Json = False) -> None:
    """Show each setting and where its value comes from."""
    from crypto_pool.settings import setting_sources
    from crypto_pool.settings_reference import grouped_settings

    chosen = options.chosen_settings()
    sources = setting_sources()
    values = chosen.model_dump(mode="json")  # stars in place of secrets
    rows = [
        {
            "setting": name,
            "value": values[name],
            "from": next((one.place for one in sources if name in one.values), "default"),
        }
        for names in grouped_settings().values()
        for name in names
    ]
    place = chosen.dagster_home.resolve()
    show(as_json, {"home": str(place), "settings": rows}, f"Home: {place}", rows)


def _checked(home: Path, values: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Return what follows from the values of a new home; raises InvalidSetting."""
    from pydantic import ValidationError

    from crypto_pool.settings import Settings, wrong_settings

    try:
        settings = Settings(_env_file=None, dagster_home=home, **values)  # type: ignore[call-arg]
    except ValidationError as error:
        raise wrong_settings(error, ()) from None
    if settings.provider != "directory":
        return {"first_prediction_date": settings.last_closed()}
    begins, faults = _first_bars(settings)
    if faults and (settings.chosen_symbols or not begins):
        raise InvalidSetting("\n".join(faults))
    if not begins:
        raise InvalidSetting(
            f"{settings.market_data_dir} holds no bars: put a SYMBOL.csv or SYMBOL.parquet there."
        )
    for fault in faults:
        say(f"Left out: {fault}")
    first = min(begins.values()) + timedelta(days=FIRST_FORECAST_BARS)
    return {"symbols": list(begins), "first_prediction_date": first}


def _first_bars(settings: "Settings") -> tuple[dict[str, date], list[str]]:
    """Return the day of the first bar of each coin of a folder, and why files are none of bars."""
    from crypto_pool.adapters.providers.directory import DirectoryProvider

    assert settings.market_data_dir is not None
    provider = DirectoryProvider(settings.market_data_dir)
    begins, faults = {}, []
    for name in settings.chosen_symbols or provider.symbols():
        try:
            bars = provider.daily_bars(parse_symbol(name), settings.last_closed())
            begins[name] = bars.index.min().date()
        except CryptoPoolError as fault:
            faults.append(str(fault))
    return begins, faults


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as JSON knows them."""
    return {name: str(v) if isinstance(v, date) else v for name, v in values.items()}
