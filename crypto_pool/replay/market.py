"""What a replay has of its coins, of which each day is shown what had closed by then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd

from crypto_pool.adapters.providers import MarketDataProvider
from crypto_pool.domain.bar_validation import validate_bars
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.recipe import Recipe
from crypto_pool.errors import CryptoPoolError, InvalidSetting, UnscoredCandidate
from crypto_pool.replay.memory import MemoryStore
from crypto_pool.replay.plan import ReplayPlan
from crypto_pool.workflow.history import coin_breaks
from crypto_pool.workflow.panel import FORECASTS, PanelUpdate, update_panel

SHOWN = ("daily_bars", "feature_table", FORECASTS)


@dataclass(frozen=True)
class Market:
    """Bars and features by coin, and the panel's forecasts by partition, all in order of time.

    Features of a day are made of bars up to it, and forecasts by fits of outcomes that were known.
    """

    bars: Mapping[str, pd.DataFrame]
    features: Mapping[str, pd.DataFrame]
    forecasts: Mapping[str, pd.DataFrame]
    panel: PanelUpdate
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        bars: Mapping[str, pd.DataFrame],
        recipe: Recipe,
        through: date,
        notes: tuple[str, ...] = (),
    ) -> "Market":
        """Make features and forecasts of validated bars."""
        store = MemoryStore()
        for symbol, frame in bars.items():
            store.write("daily_bars", symbol, frame)
        panel = update_panel(store, recipe.target, through, coin_breaks(store))
        features = build_market_features(bars, recipe)
        forecasts = {key: store.read(FORECASTS, key) for key in store.keys(FORECASTS)}
        return cls(bars, features, forecasts, panel, notes)

    def bars_of(self, plan: ReplayPlan) -> dict[str, pd.DataFrame]:
        """Return by coin the bars by which a plan's forecasts are judged."""
        first, last = pd.Timestamp(plan.start), pd.Timestamp(plan.scored_through)
        return {symbol: frame.loc[first:last] for symbol, frame in self.bars.items()}

    def show(self, store: MemoryStore, day: date) -> None:
        """Write what had closed at the end of a day, as far as it is not there."""
        every_frame = (self.bars, self.features, self.forecasts)
        for table, frames in zip(SHOWN, every_frame, strict=True):
            for key, frame in frames.items():
                if (there := store.count(table, key)) < len(frame):
                    known = frame.loc[: pd.Timestamp(day)]
                    if there < len(known):
                        store.write(table, key, known)


def build_market_features(
    bars: Mapping[str, pd.DataFrame], recipe: Recipe
) -> dict[str, pd.DataFrame]:
    """Return the features of each coin by the whole of its bars."""
    period, series = recipe.time_period, recipe.series_type
    return {
        symbol: build_features(
            compute_indicators(frame, time_period=period, series_type=series),
            time_period=period,
            bars=frame,
        )
        for symbol, frame in bars.items()
    }


def pull_market(
    provider: MarketDataProvider, symbols: Sequence[str], plan: ReplayPlan, last_closed: date
) -> tuple[Market, list[str]]:
    """Pull and validate the bars as a live pool does; say which coins are left out, and why.

    Raises UnscoredCandidate if none is left, and InvalidSetting if all end before the plan.
    """
    through = min(plan.scored_through, last_closed)
    bars, notes, skipped = {}, [], []
    for symbol in symbols:
        try:
            # Length is asked for again at each training: a coin may join later.
            checked = validate_bars(provider.daily_bars(symbol, through), symbol, through)
        except CryptoPoolError as error:  # one coin never stops the others
            skipped.append(str(error))
            continue
        notes += [why for kind, why in checked.faults.items() if kind != "unfinished"]
        known = len(checked.bars.loc[: pd.Timestamp(plan.end)])
        if known < plan.min_history_bars:
            skipped.append(
                f"{symbol}: {known} bars on {plan.end}, at least {plan.min_history_bars} are "
                "needed; give more history or lower CRYPTO_POOL_MIN_HISTORY_BARS"
            )
        else:
            bars[symbol] = checked.bars
    if not bars:
        raise UnscoredCandidate("no coin can be replayed:\n  " + "\n  ".join(skipped))
    last, symbol = max((frame.index[-1].date(), symbol) for symbol, frame in bars.items())
    if last < plan.end:
        raise InvalidSetting(
            f"--to {plan.end}: no coin has bars so far, the last is that of {symbol} on {last}; "
            f"give --to {last} or earlier, or bring newer bars"
        )
    return Market.of(bars, plan.recipe, through, tuple(notes)), skipped
