"""What of the pool's state somebody should be told of."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta

import pandas as pd

from crypto_pool.adapters.alerts import Alert
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.members import Member
from crypto_pool.domain.moments import SILENT_DAYS, naive_utc

QUARANTINES_SHOWN = timedelta(days=30)
QUOTA = "DailyQuotaExhausted"


def quarantines(decisions: Mapping[Member, pd.DataFrame], now: datetime) -> list[Alert]:
    """Champions that were quarantined in the last thirty days; `decisions` are the ledger's."""
    since = naive_utc(now - QUARANTINES_SHOWN)
    return [
        Alert(
            f"quarantine:{member.name}:{row['decided_at_utc']}",
            f"{member.name}: version {row['model_version']} is quarantined: {row['reason']}",
        )
        for member, rows in decisions.items()
        for _, row in rows.iterrows()
        if row["decision"] == "quarantined" and row["decided_at_utc"] >= since
    ]


def late_forecasts(
    pending: Mapping[date, Iterable[str]],
    last_closed: date,
    due_at: Callable[[date], datetime],
    now: datetime,
) -> list[Alert]:
    """The forecasts of the last two closed days that are pending though they were due, by member.

    Two, since those of a late daily run fall due only once the next day has closed.
    """
    recent = {d: names for d, names in pending.items() if d >= last_closed - timedelta(days=1)}
    return [
        Alert(
            f"late forecast:{day}",
            f"forecasts of {day} are missing for {', '.join(sorted(names))}, due at "
            f"{due_at(day):%Y-%m-%d %H:%M} UTC; "
            "the latest runs in the Dagster UI say why, `crypto-pool predict` makes them",
        )
        for day, names in recent.items()
        if now >= due_at(day)
    ]


def silent_coins(last_bars: Mapping[str, date], last_closed: date) -> list[Alert]:
    """Coins without a new bar for a week: each is told once, until it has one again."""
    return [
        Alert(
            f"silent:{symbol}:{last}",
            f"{symbol} has had no new bar since {last}; if it was delisted or renamed, "
            f"`crypto-pool retire {symbol}` takes it out of pulls, checks and forecasts",
        )
        for symbol, last in last_bars.items()
        if (last_closed - last).days >= SILENT_DAYS
    ]


def failed_run(
    run_id: str, job: str, bar_date: str, reasons: Iterable[str], today: date
) -> list[Alert]:
    """A failed run with its reasons; an exhausted quota is one incident a day."""
    causes = list(dict.fromkeys(reasons))
    exhausted = [reason for reason in causes if QUOTA in reason]
    alerts = []
    if exhausted:
        alerts.append(
            Alert(f"quota:{today}", f"the provider's quota of {today} is used up: {exhausted[0]}")
        )
    others = [reason for reason in causes if QUOTA not in reason]
    if others or not exhausted:
        shown = "\n".join(others) or "its log in the Dagster UI says why"
        about = f" for {bar_date}" if bar_date else ""
        alerts.append(Alert(f"run:{run_id}", f"{job}{about} failed (run {run_id}):\n{shown}"))
    return alerts


def ended_service(name: str, how: str, now: datetime) -> list[Alert]:
    """A service of `up` that died and is started again; one incident an hour."""
    return [
        Alert(f"service:{name}:{now:%Y-%m-%dT%H}", f"{name} {how}, and is started again by itself")
    ]


def daily_digest(store: FrameStore, day: date, horizon: int) -> list[Alert]:
    """What a day brought once it is forecast: signals, what came due, and the promise so far."""
    forecasts = store.find("daily_predictions", f"{day}")
    if forecasts is None or forecasts.empty:
        return []
    signals = forecasts[forecasts["signal"].astype("boolean").fillna(False)]
    names = ", ".join(
        f"{row['symbol']}_{row['trend']} {row['probability']:.2f}" for _, row in signals.iterrows()
    )
    lines = [f"{day}: {len(signals)} signals of {len(forecasts)} members"]
    lines[0] += f": {names}" if names else ""
    due_day = day - timedelta(days=horizon)
    due = store.find("prediction_outcomes", f"{due_day}")
    if due is not None and not due.empty:
        due = due[due["signal"].astype("boolean").fillna(False) & due["outcome"].notna()]
        lines.append(f"of {due_day}, {int(due['outcome'].sum())} of {len(due)} signals came true")
    return [Alert(f"digest:{day}", "; ".join([*lines, *_promise_so_far(store, day)]))]


def _promise_so_far(store: FrameStore, day: date) -> list[str]:
    """The pool's precision beside its promise, by the last review; nothing without both."""
    reviews = store.find("realised_performance", f"{day}")
    pool = [] if reviews is None else reviews[reviews["symbol"] == "all"].to_dict("records")
    needed = ("precision_low", "promised_precision")
    if not pool or any(pd.isna(pool[0].get(name)) for name in needed):
        return []
    [row] = pool
    kept = "kept" if row["precision_high"] >= row["promised_precision"] else "not kept"
    return [
        f"precision so far {row['precision']:.2f} ({row['precision_low']:.2f} to "
        f"{row['precision_high']:.2f}), promised {row['promised_precision']:.2f}: {kept}"
    ]
