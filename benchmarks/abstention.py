"""How often forecasts abstain for inputs out of span, on real bars, and whether a shock does.

`python -m benchmarks.abstention FOLDER` prints the share by coin, of a folder of SYMBOL.csv. A
model of each origin, a training every thirty days, knows the latest thousand rows before it.
"""

import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from crypto_pool.domain.drift import (
    SHOCK_SIGMAS,
    InputSpan,
    abstention_reason,
    per_price,
    shock_sigmas,
)
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.settings import Settings

ROWS, FEWEST, EVERY, HORIZON = 1000, 250, 30, 10
SHOCKS_A_COIN, LAST_DAY = 5, date(2023, 5, 31)
LIMIT = float(Settings.model_fields["abstain_beyond_widths"].default)


def figures() -> dict[str, float]:
    """Return the figures of the synthetic market."""
    market = SyntheticMarket(seed=7)
    found = sum(shares(market.bars(symbol, LAST_DAY)) for symbol in ("BTC", "ETH", "SOL"))
    return {
        f"{what}_abstained_pct": 100 * found[f"{what}_abstained"] / found[what]
        for what in ("days", "shocks")
    }


def main(folder: Path) -> None:
    """Print the share of days that abstain, and of shocks that do, by coin and in all."""
    table = pd.DataFrame(
        {path.stem: shares(read_bars(path)) for path in sorted(folder.glob("*.csv"))}
    ).T
    table.loc["all"] = table.sum()
    for what in ("days", "shocks"):
        table[f"{what}_abstained_pct"] = 100 * table[f"{what}_abstained"] / table[what]
    print(table.round(2).to_string())


def read_bars(path: Path) -> pd.DataFrame:
    """Read a coin's bars, ascending."""
    return pd.read_csv(path, index_col="date", parse_dates=["date"])


def shares(bars: pd.DataFrame) -> pd.Series:
    """Count a coin's days and shocks, and those of them that abstain."""
    features = build_features(compute_indicators(bars))
    counts = dict.fromkeys(("days", "days_abstained", "shocks", "shocks_abstained"), 0)
    random = np.random.default_rng(11)
    inputs = per_price(features, bars["close"])
    for end in range(FEWEST, len(inputs), EVERY):
        span = InputSpan.of(inputs.iloc[max(0, end - HORIZON - ROWS) : end - HORIZON])
        for day in inputs.index[end : end + EVERY]:
            counts["days"] += 1
            counts["days_abstained"] += abstains(span, inputs.loc[day], bars.loc[:day, "close"])
    for day in random.choice(inputs.index[FEWEST:], SHOCKS_A_COIN) if counts["days"] else ():
        place = inputs.index.get_loc(day)
        span = InputSpan.of(inputs.iloc[max(0, place - HORIZON - ROWS) : place - HORIZON])
        shocked = shock(bars.loc[:day], random.choice([-1, 1]))
        row = build_features(compute_indicators(shocked))
        counts["shocks"] += 1
        counts["shocks_abstained"] += abstains(
            span, per_price(row, shocked["close"]).iloc[-1], shocked["close"]
        )
    return pd.Series(counts)


def abstains(span: InputSpan, row: pd.Series, closes: pd.Series) -> bool:
    """Whether the forecast of the last close abstains, by the limits of the pool."""
    return bool(abstention_reason(span.distance(row), shock_sigmas(closes), LIMIT))


def shock(bars: pd.DataFrame, sign: int) -> pd.DataFrame:
    """Let the last close lie ten of the last sixty days' sigmas from the one before."""
    shocked, closes = bars.copy(), bars["close"]
    sigma = np.log(closes).diff().iloc[-61:-1].std()
    close = closes.iloc[-2] * np.exp(sign * SHOCK_SIGMAS * sigma * 1.001)
    last = shocked.index[-1]
    shocked.loc[last, "close"] = close
    shocked.loc[last, "high"] = max(close, bars["high"].iloc[-1])
    shocked.loc[last, "low"] = min(close, bars["low"].iloc[-1])
    return shocked


if __name__ == "__main__":
    main(Path(sys.argv[1]))
