"""A pull's report, what is known of stored bars, and the provider's own indicators."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.pull_plan import PullPlan
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.errors import DailyQuotaExhausted, InsufficientHistory, MissingPartition
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.pulling import (
    BarSpan,
    Puller,
    bar_spans,
    bars_until,
    last_bar,
    require_fits,
)
from crypto_pool_tests.workflow.bar_source import BarSource

LAST = date(2021, 6, 30)
BARS = SyntheticMarket().bars("BTC", LAST)
NOW = datetime(2021, 7, 1, 1, tzinfo=UTC)


@dataclass
class Metered(BarSource):
    """One with a budget and indicators; `asked` is what it was asked to plan."""

    due: int = 0
    budget: object = None
    asked: list = field(default_factory=list)

    def indicators(self, symbol: str) -> pd.DataFrame:
        return compute_indicators(self.bars)

    def requests_needed(self, symbol: str, with_indicators: bool) -> int:
        return 16 if with_indicators else self.due

    def plan_pull(self, symbols, last_bars, with_indicators) -> str:
        self.asked.append((tuple(symbols), dict(last_bars), with_indicators))
        return "a plan"


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(str(tmp_path))


def puller(store: FrameStore, provider: BarSource) -> Puller:
    return Puller(store, provider, LAST, NOW)


def test_a_pull_is_reported_with_what_it_added(store):
    puller(store, BarSource(BARS.iloc[:-2])).pull("BTC")
    changed = BARS.copy()
    changed.iloc[50, changed.columns.get_loc("close")] *= 1.004
    puller(store, BarSource(changed)).pull("BTC")
    report = store.read("bar_reports", "BTC").iloc[0]
    kept = ("symbol", "source", "verdict", "added", "restated", "restated_days", "missing")
    assert [report[name] for name in kept] == [
        "BTC", "test", "restated", 2, 1, f"{BARS.index[50]:%Y-%m-%d}", 0,
    ]  # fmt: skip
    assert report["last_bar"] == BARS.index[-1]
    assert report["pulled_at_utc"] == pd.Timestamp("2021-07-01 01:00")
    assert report["reason"] in ("", None)


def test_a_young_coin_s_bars_are_stored_before_it_is_refused(store):
    young = BARS.tail(30)
    with pytest.raises(InsufficientHistory, match="BTC"):
        puller(store, BarSource(young)).pull("BTC")
    assert len(store.read("daily_bars", "BTC")) == 30


def test_the_spans_of_bars_are_read_anew_where_they_changed(store):
    assert bar_spans(store, ["BTC"]) == {}
    assert last_bar(store, "BTC") is None
    store.write("daily_bars", "BTC", BARS.head(100))
    store.write("daily_bars", "ETH", BARS)
    assert bar_spans(store, ["BTC", "ADA"]) == {"BTC": BarSpan(100, BARS.index[99].date())}
    store.write("daily_bars", "BTC", BARS.head(101))
    Path(store.path("daily_bars", "ETH")).write_bytes(b"half")
    for _ in range(2):
        found = bar_spans(store, ["BTC", "ETH"])
        assert found == {"BTC": BarSpan(101, BARS.index[100].date())}
    assert last_bar(store, "BTC") == BARS.index[100].date()


def test_bars_are_counted_up_to_a_day(store):
    store.write("daily_bars", "BTC", BARS.head(100))
    days = [*BARS.index[[0, 98, 99, 100]], BARS.index[0] - pd.Timedelta(days=1)]
    assert [bars_until(store, "BTC", day.date()) for day in days] == [1, 99, 100, 100, 0]
    assert bars_until(store, "ETH", LAST) == 0


def test_a_pull_is_planned_where_requests_are_counted(store):
    store.write("daily_bars", "BTC", BARS)
    provider = Metered(BARS)
    assert puller(store, BarSource(BARS)).plan(["BTC"], False) is None
    assert puller(store, provider).plan(["BTC", "ETH"], True) == "a plan"
    assert provider.asked == [(("BTC", "ETH"), {"BTC": LAST}, True)]


def test_a_coin_that_does_not_fit_the_plan_waits_and_says_why():
    plan = PullPlan(("BTC",), ("ETH",), "25 requests are left")
    require_fits(None, "ETH")
    require_fits(plan, "BTC")
    with pytest.raises(DailyQuotaExhausted, match="ETH waits: 25 requests are left"):
        require_fits(plan, "ETH")


def test_the_provider_s_indicators_are_those_of_bars_that_were_pulled_today(store):
    store.write("daily_bars", "BTC", BARS)
    options = {"time_period": 7, "series_type": "close"}
    found = puller(store, Metered(BARS)).provider_indicators("BTC", **options)
    pd.testing.assert_frame_equal(found, compute_indicators(BARS))
    with pytest.raises(MissingPartition, match="of the day were not pulled"):
        puller(store, Metered(BARS, due=1)).provider_indicators("BTC", **options)
    with pytest.raises(MissingPartition, match="test has no indicators of its own"):
        puller(store, BarSource(BARS)).provider_indicators("BTC", **options)
