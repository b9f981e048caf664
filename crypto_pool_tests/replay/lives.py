"""Small pools that live through the synthetic market, in this process."""

from datetime import date
from pathlib import Path

import pandas as pd

from crypto_pool.domain.recipe import Recipe
from crypto_pool.replay.life import PoolLife, live_together
from crypto_pool.replay.market import Market
from crypto_pool.replay.plan import ReplayPlan
from crypto_pool.sandbox.market import SyntheticMarket

START = date(2023, 2, 1)
FEW = ("RidgeClassifier", "KNeighbors")
PREDICTABILITY = 0.6


def synthetic_bars(
    symbols: tuple[str, ...], through: date, predictability: float = PREDICTABILITY
) -> dict[str, pd.DataFrame]:
    market = SyntheticMarket(predictability=predictability)
    return {symbol: market.bars(symbol, through) for symbol in symbols}


def make_life(
    folder: Path, end: date, bars: dict[str, pd.DataFrame], **changes: object
) -> PoolLife:
    """Make a pool of bars that begins on START with FEW algorithms on 300 rows."""
    chosen: dict[str, object] = {"algorithms": FEW, "recipe": Recipe(training_rows=300), **changes}
    plan = ReplayPlan(START, end, **chosen)  # type: ignore[arg-type]
    market = Market.of(bars, plan.recipe, plan.scored_through)
    return PoolLife(plan, market, plan.recipe, folder)


def lived_through(life: PoolLife) -> PoolLife:
    for _ in live_together([life]):
        pass
    life.score_rest()
    return life
