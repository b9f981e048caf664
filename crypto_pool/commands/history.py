"""Decisions about a coin's history: `accept-break`, `restart-history` and `retire`."""

from typing import TYPE_CHECKING, Annotated

import typer

from crypto_pool.commands import options
from crypto_pool.commands.printing import show
from crypto_pool.domain.dates import read_date
from crypto_pool.errors import InvalidSetting

if TYPE_CHECKING:
    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.settings import Settings

CoinArgument = Annotated[str, typer.Argument(help="The coin, for example BTC.")]


def accept_break(
    symbol: CoinArgument,
    day: Annotated[str, typer.Argument(help="The day of the break, YYYY-MM-DD.")],
    as_json: options.Json = False,
) -> None:
    """Take a level break as part of a coin's history.

    The coin goes on then.
    """
    from crypto_pool.workflow import history

    broken = read_date("DATE", day)
    settings, store, coin = _open(symbol)
    history.accept_break(store, coin, broken, settings.now())
    show(
        as_json,
        {"symbol": coin, "accepted": day},
        f"The break of {coin} on {day} is accepted; indicators start anew there at the next build.",
    )


def restart_history(
    symbol: CoinArgument,
    first: Annotated[
        str | None,
        typer.Option("--from", help="First day of the history that is kept; default: none is."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Set a coin's stored bars aside.

    All of them, or those before a day.
    """
    from crypto_pool.workflow import history

    begins = None if first is None else read_date("--from", first)
    settings, store, coin = _open(symbol)
    count = history.restart_history(store, coin, settings.now(), begins)
    then = (
        "the next build pulls its history anew"
        if begins is None
        else f"its history begins on {begins} or later, and no pull takes an earlier day"
    )
    show(
        as_json,
        {"symbol": coin, "bars": count, "table": history.REPLACED, "from": first},
        f"{count} bars of {coin} are kept apart, in the folder {history.REPLACED}; {then}.",
    )


def retire(
    symbol: CoinArgument,
    first: Annotated[
        str | None,
        typer.Option("--from", help="First day without it; default: the one after its last bar."),
    ] = None,
    undo: Annotated[bool, typer.Option(help="Bring the coin back.")] = False,
    as_json: options.Json = False,
) -> None:
    """Take a coin out of pulls, checks and forecasts.

    What is stored of it stays.
    """
    from crypto_pool.workflow import history

    day = None if first is None else read_date("--from", first)
    settings, store, coin = _open(symbol)
    if undo:
        day = None
    elif day is None:
        day = history.decisions_of(store, coin).retired_from
        day = day or history.day_after_last_bar(store, coin)
    history.retire(store, coin, day, settings.now())
    text = (
        f"{coin} is back: it is pulled and forecast again."
        if day is None
        else f"{coin} is retired from {day} on: no pull, check or forecast; its history, ledger "
        "and place in the panel's training stay."
    )
    show(as_json, {"symbol": coin, "retired_from": None if day is None else day.isoformat()}, text)


def _open(symbol: str) -> "tuple[Settings, FrameStore, str]":
    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.adapters.schema_version import open_store
    from crypto_pool.domain.odds import why_no_odds
    from crypto_pool.domain.symbols import parse_symbol
    from crypto_pool.settings import load_settings

    settings, coin = load_settings(), parse_symbol(symbol)
    known = coin in settings.symbols or FrameStore(settings.frames_root).exists("daily_bars", coin)
    if not known:
        raise InvalidSetting(why_no_odds(coin, settings.symbols))
    return settings, open_store(settings.state_dir, settings.frames_root), coin
