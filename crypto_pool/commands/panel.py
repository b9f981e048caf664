"""`crypto-pool panel` and `odds`: what the model of all coins is worth, and what it expects."""

from typing import TYPE_CHECKING, Annotated

import typer

from crypto_pool.commands import options
from crypto_pool.commands.printing import messages, show, write_json
from crypto_pool.domain.dates import read_date
from crypto_pool.errors import InvalidSetting

if TYPE_CHECKING:
    from crypto_pool.domain.odds import Odds


def panel(
    start: Annotated[
        str, typer.Option("--from", help="The day before the first that is scored, YYYY-MM-DD.")
    ],
    end: Annotated[str, typer.Option("--to", help="Last bar date that is scored.")],
    symbols: options.Symbols = None,
    scored: Annotated[
        str | None, typer.Option(help="Coins that are scored, comma-separated; default: all.")
    ] = None,
    provider: options.Provider = None,
    output: options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Score the panel alone over history.

    Its skill over the reference, and how many outcomes lay in its range.
    """
    from datetime import timedelta

    from crypto_pool.defs.market_data import build_provider
    from crypto_pool.domain.bar_validation import validate_bars
    from crypto_pool.errors import CryptoPoolError
    from crypto_pool.replay.panel import replay_panel

    options.require_writable("--output", output)
    settings = options.chosen_settings(symbols, provider)
    first, last = read_date("--from", start), settings.closed_day("--to", end)
    chosen = options.read_symbols(scored) if scored else settings.symbols
    if unknown := set(chosen) - set(settings.symbols):
        raise InvalidSetting(
            f"--scored {', '.join(sorted(unknown))}: the panel's coins are "
            f"{', '.join(settings.symbols)}; add it to --symbols"
        )
    if last <= first:
        raise InvalidSetting(f"--to {last} is no day after --from {first}; give a later one.")
    target, source = settings.recipe.target, build_provider(settings)
    through = min(last + timedelta(days=target.horizon), settings.last_closed())
    bars = {}
    for symbol in settings.symbols:
        try:
            bars[symbol] = validate_bars(source.daily_bars(symbol, through), symbol, through).bars
        except CryptoPoolError as error:  # one coin never stops the others
            messages(as_json).print(f"left out: {error}")
    result = replay_panel(bars, target, first, last, chosen)
    report = {
        "figures": result.rows(),
        "skill_by_move": [
            {"move_pct": round(move, 3), "skill_over_reference": round(skill, 4)}
            for move, skill in result.moves.items()
        ],
    }
    write_json(report, output)
    show(as_json, report, report["figures"], "", report["skill_by_move"])


def odds(
    symbol: Annotated[str, typer.Argument(help="Coin, such as BTC.")],
    move: Annotated[str, typer.Option(help="The least change, in percent: 8% or -5%.")],
    as_json: options.Json = False,
) -> None:
    """Give the probability of a move of any size.

    From the latest published panel forecast.
    """
    from pydantic_core import to_jsonable_python

    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.adapters.prediction_tables import query
    from crypto_pool.domain.odds import odds_of, read_move, why_no_odds
    from crypto_pool.domain.symbols import parse_symbol
    from crypto_pool.serving.queries import LATEST_PANEL
    from crypto_pool.settings import load_settings
    from crypto_pool.workflow.history import retired_from

    settings = load_settings()
    fraction, coin, folder = read_move(move), parse_symbol(symbol), settings.state_dir
    latest = query(folder, LATEST_PANEL).to_dict("records")
    rows = {str(row["symbol"]): row for row in latest}
    if coin not in rows:
        coins = query(folder, "SELECT DISTINCT symbol FROM daily_bars")["symbol"]
        raise InvalidSetting(why_no_odds(coin, list(coins)))
    row = {str(name): value for name, value in rows[coin].items()}
    retired = retired_from(FrameStore(settings.frames_root), [coin]).get(coin)
    result = odds_of(row, fraction, settings.last_closed(), retired)
    show(as_json, to_jsonable_python(result), describe_odds(result))


def describe_odds(odds: "Odds") -> str:
    """Say odds in words."""
    from crypto_pool.domain.recipe import LEVELS

    move, stale = odds.expected, odds.stale_reason
    return (
        f"{move.symbol}, bar of {move.bar_date}: a change of at least {100 * odds.move_pct:+g} % "
        f"in {move.horizon} days has a probability of {odds.probability:.4f}, a lower one "
        f"{1 - odds.probability:.4f}.\n"
        f"Expected of {LEVELS[move.target][1]}, then {move.level_usd:,.6g} USD: "
        f"{move.price_50_usd:,.6g} "
        f"({100 * move.change_50_pct:+.1f} %), with 80 % between {move.price_10_usd:,.6g} "
        f"({100 * move.change_10_pct:+.1f} %) and {move.price_90_usd:,.6g} "
        f"({100 * move.change_90_pct:+.1f} %)." + (f"\nStale: {stale}." if stale else "")
    )
