"""The probability of a move of any size, from a coin's latest panel forecast."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from crypto_pool.domain.moments import why_stale
from crypto_pool.domain.panel import exceedance_probability
from crypto_pool.domain.recipe import Target, TargetKind
from crypto_pool.errors import InvalidSetting


@dataclass(frozen=True)
class ExpectedMove:
    """Where a coin's target is expected at the end of the horizon: 10 %, 50 % and 90 % points.

    Changes are fractions of `level_usd`, what `target` names as it stands today: SMA10 for
    sma_shift, the close for forward_return. Prices are in USD.
    """

    symbol: str
    target: TargetKind
    bar_date: date
    horizon: int
    level_usd: float
    sigma: float
    change_10_pct: float
    change_50_pct: float
    change_90_pct: float
    price_10_usd: float
    price_50_usd: float
    price_90_usd: float


@dataclass(frozen=True)
class Odds:
    """How likely the target changes by at least `move_pct`, a fraction, over the horizon.

    `stale_reason` says why the bar they are of is not a fresh one.
    """

    move_pct: float
    probability: float
    expected: ExpectedMove
    stale_reason: str | None


def expected_move(row: Mapping[str, Any]) -> ExpectedMove:
    """Return what a row of the table panel_forecasts expects."""
    level = float(row["level_usd"])
    changes = {name: float(row[f"change_{name}_pct"]) for name in ("10", "50", "90")}
    day = row["bar_date"]
    return ExpectedMove(
        symbol=str(row["symbol"]),
        target=row["target"],
        bar_date=day if type(day) is date else day.date(),
        horizon=int(row["prediction_window_days"]),
        level_usd=level,
        sigma=float(row["sigma"]),
        **{f"change_{name}_pct": change for name, change in changes.items()},
        **{f"price_{name}_usd": level * (1 + change) for name, change in changes.items()},
    )


def odds_of(
    row: Mapping[str, Any], move: float, last_closed: date, retired_from: date | None = None
) -> Odds:
    """Return P(change >= move) of a row of panel_forecasts; raises InvalidSetting for no move."""
    require_move(move)
    target = Target(row["target"], float(row["target_pct"]), int(row["prediction_window_days"]))
    probability = exceedance_probability(
        np.array(float(row["position"])), np.array(float(row["sigma"])), move, target
    )
    expected = expected_move(row)
    stale_reason = why_stale(expected.bar_date, last_closed, retired_from)
    return Odds(move, float(probability), expected, stale_reason)


def read_move(text: str) -> float:
    """Read a move in percent, `8%`, `+8` or `-12.5%`, as a fraction; raises InvalidSetting."""
    try:
        move = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        raise InvalidSetting(
            f"{text!r} is no move; write it in percent, such as 8% or -5%"
        ) from None
    require_move(move)
    return move


def why_no_odds(symbol: str, coins: Collection[str]) -> str:
    """Return why a coin without a panel forecast has no odds, and the way out."""
    if symbol not in coins:
        return f"{symbol} is no coin of this pool, whose coins are {', '.join(sorted(coins))}"
    return (
        f"{symbol} has no panel forecast yet: it needs 60 daily returns without a gap, and the "
        "panel 5 x 365 coin-days of history; `crypto-pool build` makes it once they are there"
    )


def require_move(move: float) -> None:
    """Raise InvalidSetting unless a price can change by this fraction."""
    if not np.isfinite(move) or move <= -1:
        raise InvalidSetting(
            f"a move of {100 * move:g} % is none: a price cannot fall by 100 % or more; "
            "ask for one above -100 %, such as -20%"
        )
