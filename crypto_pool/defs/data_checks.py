"""What the UI says of the data: bars and features, coin by coin.

A check is named for what holds where all is well, and says what to do where it does not. Nothing
here blocks: a coin that must not be trained on is refused by name inside its asset, so that no
check has to stop the others.
"""

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial

import dagster as dg
import pandas as pd

from crypto_pool.defs.assets.features import feature_table
from crypto_pool.defs.assets.raw import daily_bars
from crypto_pool.defs.batches import finding, is_asked
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.bar_validation import missing_days
from crypto_pool.domain.drift import per_price, unseen_share
from crypto_pool.domain.feature_checks import check_features
from crypto_pool.domain.moments import SILENT_DAYS
from crypto_pool.errors import CryptoPoolError, MissingPartition
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.history import active_symbols
from crypto_pool.workflow.pulling import REPORTS

DROPPED_LIMIT = 0.2

Finding = Callable[[FrameCache, str, PoolResource], str]
"""What is wrong with a coin in words, empty if nothing is."""


def recent(frames: FrameCache, symbol: str, pool: PoolResource) -> str:
    """Bars reach to the last closed day. Else: materialise daily_bars, or retire the coin."""
    latest: date = frames.read("daily_bars", symbol).index.max().date()
    late = (pool.settings.last_closed() - latest).days
    if late <= 0:
        return ""
    ended = f"; if it ended, `crypto-pool retire {symbol}`" if late >= SILENT_DAYS else ""
    return f"{late} days behind, its last bar is {latest}{ended}"


def unbroken(frames: FrameCache, symbol: str, pool: PoolResource) -> str:
    """No day is missing inside. Else: ask the source, then `crypto-pool restart-history`."""
    missing = missing_days(pd.DatetimeIndex(frames.read("daily_bars", symbol).index))
    return (
        f"{len(missing)} days missing, the last is {missing[-1]:%Y-%m-%d}" if len(missing) else ""
    )


def sane_bars(frames: FrameCache, symbol: str, pool: PoolResource) -> str:
    """Bars are in order and possible. Else: mend the source, then `crypto-pool restart-history`."""
    frames.read("daily_bars", symbol)  # which refuses others
    return ""


def steady_past(frames: FrameCache, symbol: str, pool: PoolResource) -> str:
    """The source tells what is stored. Else: if it is right, `crypto-pool restart-history`."""
    store = frames.store
    if not store.exists(REPORTS, symbol):
        return ""
    report = store.read(REPORTS, symbol).iloc[0]
    if report["verdict"] == "refused":
        return f"pull refused: {report['reason']}"
    words = {"restated": "restated", "missing": "no longer given", "older": "older left out"}
    counts = {name: int(report.get(name, 0)) for name in words}
    parts = [f"{count} days {words[name]}" for name, count in counts.items() if count]
    return ", ".join([*parts, *([str(report["reason"])] if report["reason"] else [])])


def sane_features(frames: FrameCache, symbol: str, pool: PoolResource) -> str:
    """Features are finite and within their definition. Else: materialise feature_table again."""
    features = frames.read("feature_table", symbol)
    check_features(features, symbol, pool.settings.time_period)
    return ""


def undrifted(frames: FrameCache, symbol: str, pool: PoolResource) -> str:
    """Latest features lie within what came before. Else: train the coin's members anew."""
    closes = frames.read("daily_bars", symbol)["close"]
    shares = unseen_share(per_price(frames.read("feature_table", symbol), closes))
    far = shares[shares > pool.settings.retrain_rules.drift_limit]
    return ", ".join(f"{name} {share:.0%} outside" for name, share in far.items())


def usable(frames: FrameCache, symbol: str, pool: PoolResource) -> str:
    """Most bars gave a feature row, warm-up included. Else: look for gaps in the source."""
    bars, rows = len(frames.read("daily_bars", symbol)), len(frames.read("feature_table", symbol))
    share = 1 - rows / bars
    return f"{share:.0%} of {bars} bars gave no row" if share > DROPPED_LIMIT else ""


def check_coins(asset: dg.AssetsDefinition, *findings: Finding) -> dg.AssetChecksDefinition:
    """Checks of an asset, each of which names every coin with a finding; a coin is read once."""
    table = asset.key.to_user_string()

    @dg.multi_asset_check(
        name=f"{table}_checks",
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(find.__name__, asset=asset.key, description=find.__doc__)
            for find in findings
        ],
    )
    def check(
        context: dg.AssetCheckExecutionContext, pool: PoolResource
    ) -> Iterator[dg.AssetCheckResult]:
        asked = [one for one in findings if is_asked(context, asset.key, one.__name__)]
        coins = active_symbols(pool.store, pool.settings.symbols, pool.as_of)
        texts = {}
        for symbol in coins:
            look = partial(_why_unsound, FrameCache(pool.store), symbol, pool)
            texts[symbol] = list(map(look, asked))
        for number, find in enumerate(asked):
            faults = {symbol: whys[number] for symbol, whys in texts.items() if whys[number]}
            yield finding(faults, of=asset.key, name=find.__name__, coins=len(texts))

    return check


def _why_unsound(frames: FrameCache, symbol: str, pool: PoolResource, find: Finding) -> str:
    try:
        return find(frames, symbol, pool)
    except MissingPartition as missing:  # is told once
        return str(missing) if find is recent else ""
    except CryptoPoolError as refusal:
        return str(refusal)


data_checks = [
    check_coins(daily_bars, recent, unbroken, sane_bars, steady_past),
    check_coins(feature_table, sane_features, undrifted, usable),
]
