"""The panel of a pool: fitted at its origins, its forecasts made once, both stored by its terms.

`panel_fits` and `panel_forecasts` hold one partition for each origin, keyed by the panel's terms
and the origin: other terms make other partitions and touch none of these. A fit is written before
its rows, and what is missing of either is made by the next update, so nothing is lost by a kill.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.panel import PanelFit, forecast_panel
from crypto_pool.domain.panel_features import CoinBreaks, panel_table
from crypto_pool.domain.panel_fitting import ORIGIN_DAYS, fit_panel, later_origins, panel_origins
from crypto_pool.domain.recipe import Target
from crypto_pool.errors import CorruptPartition
from crypto_pool.workflow.code_version import code_version

FITS = "panel_fits"
FORECASTS = "panel_forecasts"
KEY = ["bar_date", "symbol"]
TREND_COLUMNS = {Trend.UPTREND: "panel_up", Trend.DOWNTREND: "panel_down"}
NUMBERS = (*TREND_COLUMNS.values(), "sigma", "position", "change_10_pct", "change_90_pct")


@dataclass(frozen=True)
class PanelUpdate:
    """What an update added, and all there is: fits by origin, and forecasts by `KEY`.

    `table` are the panel's rows up to the day of the update; `faults` says by coin whose bars,
    and by key which of the panel's own files, could not be read.
    """

    fits: Mapping[date, PanelFit]
    forecasts: pd.DataFrame
    table: pd.DataFrame
    added_fits: tuple[date, ...] = ()
    added_rows: int = 0
    faults: Mapping[str, str] = field(default_factory=dict)


def panel_terms(target: Target) -> str:
    """Return the name of the panel's terms: its target, and its code with all features."""
    code = code_version("panel_fitting")
    return hashlib.sha256(json.dumps([asdict(target), code]).encode()).hexdigest()[:12]


def update_panel(
    store: FrameStore, target: Target, as_of: date, breaks: Mapping[str, CoinBreaks] | None = None
) -> PanelUpdate:
    """Fit the origins that are due by `as_of` and forecast each day up to it that has no row.

    What is stored stays as it is; bars after `as_of` change nothing.
    """
    bars, faults = read_bars(store, as_of)
    table = panel_table(bars, target, breaks)
    fits, damaged = _read_fits(store, target)
    faults |= damaged
    known = [_origin(key) for name in (FITS, FORECASTS) for key in _keys(store, name, target)]
    origins = (
        later_origins(min(known), as_of) if known else panel_origins(table, target.horizon, as_of)
    )
    added_fits, made = [], []
    for origin in origins:
        key = _key(target, origin)
        if key in damaged:
            continue
        if origin not in fits:
            fits[origin] = fit_panel(table, target, origin)
            store.write(FITS, key, fits[origin].to_frame())
            added_fits.append(origin)
        try:
            made.append(_complete_rows(store, target, fits[origin], table))
        except CorruptPartition as fault:  # the days of one fit never stop those of another
            faults[key] = f"CorruptPartition: {fault}"
    return PanelUpdate(
        fits={origin: fits[origin] for origin in origins if origin in fits},
        forecasts=stored_forecasts(store, target, as_of),
        table=table,
        added_fits=tuple(added_fits),
        added_rows=sum(made),
        faults=faults,
    )


def read_bars(store: FrameStore, as_of: date) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """Return the bars of every coin up to a day, those that left the pool too, and the faults."""
    stored, faults = store.read_each("daily_bars")
    known = {symbol: frame.loc[: pd.Timestamp(as_of)] for symbol, frame in stored.items()}
    return {symbol: bars for symbol, bars in known.items() if len(bars)}, faults


def stored_fits(store: FrameStore, target: Target) -> list[PanelFit]:
    """Return the fits of a target that can be read, the oldest first."""
    return list(_read_fits(store, target)[0].values())


def _read_fits(store: FrameStore, target: Target) -> tuple[dict[date, PanelFit], dict[str, str]]:
    """Return the fits by origin, and by key why one cannot be read."""
    stored, faults = store.read_each(FITS, panel_terms(target))
    return {_origin(key): PanelFit.from_frame(frame) for key, frame in stored.items()}, faults


def stored_forecasts(store: FrameStore, target: Target, as_of: date | None = None) -> pd.DataFrame:
    """Return the forecasts of a target by `KEY`, ascending; without any an empty frame.

    Those in a damaged file, which the panel's update names, are left out.
    """
    rows, _ = store.read_sound(FORECASTS, prefix=panel_terms(target))
    if rows.empty:
        days = pd.MultiIndex.from_arrays([pd.DatetimeIndex([]), pd.Index([], dtype=str)], names=KEY)
        return pd.DataFrame(index=days, columns=list(NUMBERS), dtype=float)
    rows = rows.sort_index()
    return rows if as_of is None else rows.loc[: pd.Timestamp(as_of)]


def origins_of(forecasts: pd.DataFrame) -> list[date]:
    """Return the origins of stored forecasts."""
    return list(forecasts["origin"].unique()) if "origin" in forecasts else []


def panel_probability(forecasts: pd.DataFrame, member: Member) -> pd.Series:
    """Return a member's probability by bar date, of stored forecasts."""
    column = TREND_COLUMNS[member.trend]
    if member.symbol not in forecasts.index.get_level_values(-1):
        return pd.Series(dtype=float, name=column)
    return forecasts[column].xs(member.symbol, level="symbol")


def drop_forecasts(store: FrameStore, symbol: str) -> None:
    """Take a coin's rows away, of whatever terms; the next update makes them by the stored fits."""
    stored, _ = store.read_each(FORECASTS)  # rows of a damaged file are made anew anyway
    for key, rows in stored.items():
        kept = rows[rows.index.get_level_values("symbol") != symbol]
        if len(kept) < len(rows):
            store.write(FORECASTS, key, kept)


def _complete_rows(store: FrameStore, target: Target, fit: PanelFit, table: pd.DataFrame) -> int:
    """Forecast what has no row in the sixty days of a fit; return how many rows that were."""
    key = _key(target, fit.origin)
    first = pd.Timestamp(fit.origin) + pd.Timedelta(days=1)
    rows = table.loc[first : first + pd.Timedelta(days=ORIGIN_DAYS - 1)]
    stored = store.find(FORECASTS, key)
    missing = rows if stored is None else rows.loc[rows.index.difference(stored.index)]
    if len(missing):
        made = forecast_panel(fit, missing)
        store.write(FORECASTS, key, pd.concat([stored, made]))
    return len(missing)


def _keys(store: FrameStore, table: str, target: Target) -> list[str]:
    return store.keys(table, prefix=panel_terms(target))


def _origin(key: str) -> date:
    return date.fromisoformat(key.rpartition("|")[2])


def _key(target: Target, origin: date) -> str:
    return f"{panel_terms(target)}|{origin.isoformat()}"
