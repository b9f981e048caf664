"""What the UI says of the data: bars and features, coin by coin.

Nothing here blocks: a coin that must not be trained on is refused by name inside its asset, so
that no check has to stop the others.
"""

from collections.abc import Callable
from datetime import date

import dagster as dg
import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.defs.assets.features import feature_table
from crypto_pool.defs.assets.raw import daily_bars
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.drift import per_price, unseen_share
from crypto_pool.domain.market import missing_days
from crypto_pool.domain.table_schemas import require_sane_bars, require_sane_features
from crypto_pool.errors import CryptoPoolError
from crypto_pool.workflow.history import active_symbols
from crypto_pool.workflow.incidents import SILENT_DAYS
from crypto_pool.workflow.pulling import REPORTS

DROPPED_LIMIT = 0.2

Finding = Callable[[FrameStore, str, PoolResource], str]
"""What is wrong with a coin in words, empty if nothing is."""


def behind(store: FrameStore, symbol: str, pool: PoolResource) -> str:
    """Whether the stored bars end before the last closed day."""
    latest: date = store.read("daily_bars", symbol).index.max().date()
    late = (pool.settings.last_closed() - latest).days
    if late <= 0:
        return ""
    ended = f"; if it ended, `crypto-pool retire {symbol}`" if late >= SILENT_DAYS else ""
    return f"{late} days behind, its last bar is {latest}{ended}"


def gaps(store: FrameStore, symbol: str, pool: PoolResource) -> str:
    """Days missing inside the history."""
    missing = missing_days(pd.DatetimeIndex(store.read("daily_bars", symbol).index))
    return (
        f"{len(missing)} days missing, the last is {missing[-1]:%Y-%m-%d}" if len(missing) else ""
    )


def insane_bars(store: FrameStore, symbol: str, pool: PoolResource) -> str:
    """Order, duplicates and impossible prices."""
    return _refusal(lambda: require_sane_bars(store.read("daily_bars", symbol), symbol))


def changed_past(store: FrameStore, symbol: str, pool: PoolResource) -> str:
    """What the provider now tells otherwise than is stored."""
    if not store.exists(REPORTS, symbol):
        return ""
    report = store.read(REPORTS, symbol).iloc[0]
    if report["verdict"] == "refused":
        return f"pull refused: {report['reason']}"
    told = {"restated": "restated", "missing": "no longer given", "older": "older left out"}
    counts = {name: int(report.get(name, 0)) for name in told}
    found = [f"{count} days {told[name]}" for name, count in counts.items() if count]
    return ", ".join([*found, *([str(report["reason"])] if report["reason"] else [])])


def insane_features(store: FrameStore, symbol: str, pool: PoolResource) -> str:
    """Values that are not finite or outside their definition."""
    features = store.read("feature_table", symbol)
    return _refusal(lambda: require_sane_features(features, symbol, pool.settings.time_period))


def drifted(store: FrameStore, symbol: str, pool: PoolResource) -> str:
    """Features whose latest rows lie outside what came before."""
    closes = store.read("daily_bars", symbol)["close"]
    shares = unseen_share(per_price(store.read("feature_table", symbol), closes))
    far = shares[shares > pool.settings.drift_limit]
    return ", ".join(f"{name} {share:.0%} outside" for name, share in far.items())


def dropped(store: FrameStore, symbol: str, pool: PoolResource) -> str:
    """Bars that gave no feature row, warm-up included."""
    bars, rows = len(store.read("daily_bars", symbol)), len(store.read("feature_table", symbol))
    share = 1 - rows / bars
    return f"{share:.0%} of {bars} bars gave no row" if share > DROPPED_LIMIT else ""


def check_coins(asset: dg.AssetsDefinition, table: str, find: Finding) -> dg.AssetChecksDefinition:
    """An asset check that names every coin with a finding."""

    @dg.asset_check(asset=asset, name=find.__name__, description=find.__doc__)
    def check(pool: PoolResource) -> dg.AssetCheckResult:
        coins = active_symbols(pool.store, pool.settings.symbols, pool.as_of)
        stored = [symbol for symbol in coins if pool.store.exists(table, symbol)]
        found = {symbol: find(pool.store, symbol, pool) for symbol in stored}
        told = {symbol: text for symbol, text in found.items() if text}
        return dg.AssetCheckResult(
            passed=not told,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"coins": len(stored), **told},
        )

    return check


def _refusal(require: Callable[[], None]) -> str:
    try:
        require()
    except CryptoPoolError as refusal:
        return str(refusal)
    return ""


data_checks = [
    *(check_coins(daily_bars, "daily_bars", f) for f in (behind, gaps, insane_bars, changed_past)),
    *(check_coins(feature_table, "feature_table", f) for f in (insane_features, drifted, dropped)),
]
