"""The commands `new` and `settings`: a home of a pool's own, and what holds in it."""

from datetime import date, timedelta
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crypto_pool.commands import options
from crypto_pool.commands.printing import show
from crypto_pool.errors import InvalidSetting

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
    values |= _checked(home, values)
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


def _checked(home: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Return what follows from the values of a new home; raises InvalidSetting."""
    from pydantic import ValidationError

    from crypto_pool.settings import Settings, wrong_settings

    try:
        settings = Settings(_env_file=None, dagster_home=home, **values)  # type: ignore[call-arg]
    except ValidationError as error:
        raise wrong_settings(error, ()) from None
    if settings.provider != "directory":
        return {"first_prediction_date": settings.last_closed()}
    symbols, first = _look_into(settings)
    return {"symbols": list(symbols), "first_prediction_date": first}


def _look_into(settings: "Settings") -> tuple[tuple[str, ...], date]:
    """Return the coins of a folder of bars, and the first day with bars enough for a forecast."""
    from crypto_pool.adapters.providers.directory import DirectoryProvider

    assert settings.market_data_dir is not None
    provider = DirectoryProvider(settings.market_data_dir)
    symbols = settings.chosen_symbols or provider.symbols()
    if not symbols:
        raise InvalidSetting(
            f"{settings.market_data_dir} holds no bars: put a SYMBOL.csv or SYMBOL.parquet there."
        )
    begins = [provider.daily_bars(symbol, settings.last_closed()).index.min() for symbol in symbols]
    return symbols, min(begins).date() + timedelta(days=FIRST_FORECAST_BARS)


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as JSON knows them."""
    return {name: str(v) if isinstance(v, date) else v for name, v in values.items()}
