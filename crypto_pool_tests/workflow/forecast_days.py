"""A day's forecasts of some coins, by models that say what they are told to."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Decisions
from crypto_pool.domain.bar_validation import BAR_COLUMNS
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.reference import random_walk_probability
from crypto_pool.domain.tables import PREDICTIONS
from crypto_pool.domain.who_serves import Standing
from crypto_pool.workflow import day_forecasts
from crypto_pool.workflow.day_forecasts import DayForecaster
from crypto_pool.workflow.day_plan import CatchUpWindow, DayPlan, plan_days
from crypto_pool.workflow.day_rows import stored_rows
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.promotion.reconciling import Champion

DAY = date(2024, 3, 1)
NOON = datetime(2024, 3, 2, 12, tzinfo=UTC)
LATE = NOON + timedelta(days=3)
NO_PANEL = pd.DataFrame()
COINS = ("AAA", "BBB", "CCC", "DDD")


class Version:
    """A version that always says the same."""

    def __init__(self, number: str, as_of: date = DAY) -> None:
        self.version, self.tags = number, {"as_of": as_of.isoformat()}


def row_of(member: Member, version: str, day: date, late: bool, **changes) -> dict:
    return PREDICTIONS.row(
        changes,
        {
            "prediction_date": day, "probability": 0.6, "signal": True, "status": "active",
            "late": late, "reference_probability": 0.5, "model_version": version,
            "target": "sma_shift", "target_pct": 0.05, "prediction_window_days": 10,
            "in_sample": False,
        },
        vars(member),
    )  # fmt: skip


def say(frames, registry, forecaster, bar_date, now, *_):
    """Stand in for the model: what it is asked, by whom, and when."""
    reason = registry.get(forecaster.member.symbol)
    if reason:
        raise reason
    late = day_forecasts.is_late(now, bar_date)
    return row_of(forecaster.member, forecaster.version.version, bar_date, late)


def forecaster(store: FrameStore, *coins: str, version: str = "1", now=NOON, faults=None, **chosen):
    members = [Member(coin, Trend.UPTREND) for coin in coins or COINS]
    made = DayForecaster(
        store,
        faults or {},
        members,
        Recipe(),
        lambda _: now,
        stamp={"dagster_run_id": "run", "synthetic": True},
        abstain_beyond_widths=None,
        frames=FrameCache(store),
    )
    known = {
        "champions": {
            member: Champion(member, Standing(), Version(version) if version else None)
            for member in members
        },
        "shadows": {},
        "decisions": Decisions(),
    }
    vars(made).update(known | chosen)  # what it would read of the ledger and of MLflow
    return made


def versions(store: FrameStore, table=PREDICTIONS) -> dict[str, str]:
    rows = stored_rows(store, table, DAY.isoformat())
    return {row["symbol"]: row["model_version"] for row in rows}


def plan_of(store, last_closed: date, *coins: str) -> DayPlan:
    members = [Member(coin, Trend.UPTREND) for coin in coins]
    return plan_days(store, members, CatchUpWindow(last_closed, date(2020, 1, 1), 7))


def pending(store, last_closed: date, *coins: str) -> Mapping[date, frozenset[str]]:
    return plan_of(store, last_closed, *coins).forecast


def write_walk(store: FrameStore, coin: str) -> pd.Series:
    """Bars whose price moves; returns the reference's probability of an uptrend."""
    days = pd.date_range("2023-10-01", "2024-04-01", name="date")
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.03, len(days))))
    bars = pd.DataFrame(dict.fromkeys(BAR_COLUMNS, closes), index=days)
    store.write("daily_bars", coin, bars)
    return random_walk_probability(bars, Trend.UPTREND)
