"""Pulls and people's decisions over a coin's history, in a store and without Dagster."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.bar_validation import PRICE_COLUMNS
from crypto_pool.domain.breaks import VOLUME_BARS
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import DEFAULT_RECIPE, DEFAULT_TARGET
from crypto_pool.errors import (
    BrokenHistory,
    HistoryChanged,
    InvalidSetting,
    MissingFeatures,
    MissingPartition,
)
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.frames import FrameCache, reference_of
from crypto_pool.workflow.history import (
    REPLACED,
    accept_break,
    active_symbols,
    coin_breaks,
    day_after_last_bar,
    decisions_of,
    name_gap,
    restart_history,
    retire,
    retired_from,
)
from crypto_pool.workflow.incidents import silent_coins
from crypto_pool.workflow.pulling import Puller, pull_notes
from crypto_pool.workflow.training import member_table
from crypto_pool_tests.workflow.bar_source import BarSource

BARS = SyntheticMarket().bars("BTC", date(2021, 6, 30))
LAST = BARS.index[-1].date()
BREAK = date(2021, 3, 1)
NOW = datetime(2021, 7, 1, 1, tzinfo=UTC)


def redenominated(bars: pd.DataFrame = BARS) -> pd.DataFrame:
    changed = bars.copy()
    changed.loc[str(BREAK) :, list(PRICE_COLUMNS)] *= 1000
    return changed


@pytest.fixture
def store(tmp_path) -> FrameStore:
    return FrameStore(str(tmp_path))


def pull(store: FrameStore, bars: pd.DataFrame, last: date = LAST):
    return Puller(store, BarSource(bars), last, NOW).pull("BTC")


def test_a_break_within_a_pull_is_named_stored_and_blocks(store):
    with pytest.raises(BrokenHistory) as raised:
        pull(store, redenominated())
    told = str(raised.value)
    assert told.startswith("BTC is blocked from 2021-03-01 on: on 2021-03-01 prices are")
    assert "`crypto-pool accept-break BTC 2021-03-01`" in told
    assert "`crypto-pool restart-history BTC --from 2021-03-01`" in told
    assert store.read("bar_reports", "BTC")["reason"].iloc[0] == told
    assert len(store.read("daily_bars", "BTC")) == len(BARS)
    store.write("daily_bars", "AAA", BARS)
    Path(store.path("daily_bars", "AAA")).write_bytes(b"half")
    store.write("daily_bars", "ZZZ", BARS)
    assert list(coin_breaks(store)) == ["BTC"]
    assert coin_breaks(store)["BTC"].blocked_from == BREAK
    member = Member("BTC", Trend.UPTREND)
    with pytest.raises(BrokenHistory):
        member_table(store, member, LAST, DEFAULT_RECIPE)


def test_a_blocked_coin_has_no_forecast_and_after_acceptance_one_once_sixty_days_are_there(store):
    member = Member("BTC", Trend.UPTREND)
    with pytest.raises(BrokenHistory):
        pull(store, redenominated())

    def probability(day: date) -> float:
        return reference_of(FrameCache(store), member, day, DEFAULT_TARGET)

    assert 0 < probability(BREAK - timedelta(days=1)) < 1
    with pytest.raises(MissingFeatures, match="BTC is blocked from 2021-03-01 on"):
        probability(LAST)
    accept_break(store, "BTC", BREAK, NOW)
    assert 0 < probability(BREAK + timedelta(days=60)) < 1
    with pytest.raises(MissingFeatures, match="no reference forecast"):
        probability(BREAK + timedelta(days=59))


@pytest.mark.parametrize("back", [30, 61])
def test_a_gap_that_keeps_the_reference_away_is_named_until_sixty_returns_are_there(store, back):
    member, missing = Member("BTC", Trend.UPTREND), BARS.index[-back]
    store.write("daily_bars", "BTC", BARS.drop(missing))
    gap = f"{missing:%Y-%m-%d} is missing; the reference begins"
    with pytest.raises(MissingFeatures, match=gap):
        reference_of(FrameCache(store), member, LAST, DEFAULT_TARGET)
    store.write("daily_bars", "BTC", BARS.drop(BARS.index[-62]))
    assert 0 < reference_of(FrameCache(store), member, LAST, DEFAULT_TARGET) < 1


def test_volume_in_another_unit_within_a_pull_is_named_while_that_is_news(store):
    """It blocks nothing: prices are what they were."""
    bars = BARS.copy()
    bars.loc[pd.Timestamp(BREAK) :, "volume"] *= 1000
    told = " ".join(pull(store, bars)[1])
    assert f"BTC: on {BREAK} volumes are" in told
    assert f"`crypto-pool restart-history BTC --from {BREAK}`" in told
    assert "volumes" not in " ".join(pull(store, bars)[1])
    for days, is_news in ((2 * VOLUME_BARS, True), (2 * VOLUME_BARS + 1, False)):
        anew, recent = FrameStore(f"{store.root}/{days}"), BARS.copy()
        recent.iloc[-days:, recent.columns.get_loc("volume")] *= 1000
        pull(anew, recent)
        assert ("volumes" in " ".join(pull(anew, recent)[1])) is is_news


def test_a_break_between_pulls_is_named_too(store):
    pull(store, BARS.loc[: str(BREAK - timedelta(days=1))], BREAK - timedelta(days=1))
    with pytest.raises(BrokenHistory, match="accept-break BTC 2021-03-01"):
        pull(store, redenominated())


def test_an_accepted_break_lets_the_coin_go_on_and_is_accepted_once(store):
    with pytest.raises(BrokenHistory):
        pull(store, redenominated())
    with pytest.raises(InvalidSetting, match=r"no level break on 2021-03-02; .*: 2021-03-01"):
        accept_break(store, "BTC", date(2021, 3, 2), NOW)
    for _ in range(2):
        accept_break(store, "BTC", BREAK, NOW)
    assert decisions_of(store, "BTC").accepted == (BREAK,)
    assert len(store.read("history_decisions", "BTC")) == 1
    merge, _ = pull(store, redenominated())
    assert merge.verdict == "unchanged"
    assert (coin_breaks(store)["BTC"].accepted, coin_breaks(store)["BTC"].blocked_from) == (
        (BREAK,),
        None,
    )


def test_a_restart_from_a_day_keeps_what_follows_and_takes_no_earlier_day_again(store):
    with pytest.raises(BrokenHistory):
        pull(store, redenominated())
    count = restart_history(store, "BTC", NOW, BREAK)
    assert count == len(BARS.loc[: str(BREAK)]) - 1
    (set_aside,) = store.keys(REPLACED)
    assert len(store.read(REPLACED, set_aside)) == count
    merge, notes = pull(store, redenominated())
    assert merge.bars.index[0] == pd.Timestamp(BREAK)
    assert not any("older" in note for note in notes)
    restart_history(store, "BTC", NOW + timedelta(hours=1))
    assert not store.exists("daily_bars", "BTC")
    assert pull(store, BARS)[0].bars.index[0] == BARS.index[0]


def test_a_restart_from_a_day_after_the_last_bar_is_refused_and_changes_nothing(store):
    pull(store, BARS)
    with pytest.raises(InvalidSetting, match=f"no bar from 2030-01-01 on, its last is {LAST}"):
        restart_history(store, "BTC", NOW, date(2030, 1, 1))
    assert decisions_of(store, "BTC").starts_on is None
    assert len(store.read("daily_bars", "BTC")) == len(BARS)


def test_older_restated_and_replaced_days_are_listed(store):
    pull(store, BARS.iloc[100:])
    changed = BARS.copy()
    changed.iloc[[150, -1], 1] *= 1.0005
    merge, told = pull(store, changed)
    assert merge.bars["high"].iloc[-1] == changed["high"].iloc[-1]
    notes = pull_notes(store, ["BTC"])
    assert list(told[-3:]) == notes
    assert f"{BARS.index[150]:%Y-%m-%d} restated by the source" in notes[0]
    assert f"{LAST} among the latest two stored days: replaced" in notes[1]
    assert "100 older days" in notes[2]
    assert "crypto-pool restart-history BTC" in notes[2]


def test_another_history_is_still_refused_as_a_whole(store):
    pull(store, BARS)
    with pytest.raises(HistoryChanged, match=r"1000 times.*restart-history BTC"):
        pull(store, BARS.assign(**{name: BARS[name] * 1000 for name in PRICE_COLUMNS}))
    assert "1000 times" in store.read("bar_reports", "BTC")["reason"].iloc[0]


def test_a_retired_coin_is_gone_from_its_day_on_and_its_history_stays(store):
    pull(store, BARS)
    first = day_after_last_bar(store, "BTC")
    assert first == LAST + timedelta(days=1)
    for _ in range(2):
        retire(store, "BTC", first, NOW)
    assert len(store.read("history_decisions", "BTC")) == 1
    assert retired_from(store, ["BTC", "ETH"]) == {"BTC": first}
    assert active_symbols(store, ["BTC", "ETH"], LAST) == ["BTC", "ETH"]
    for day in (first, first + timedelta(days=1)):
        assert active_symbols(store, ["BTC", "ETH"], day) == ["ETH"]
    assert len(store.read("daily_bars", "BTC")) == len(BARS)
    begins = store.read("daily_bars", "BTC").index.min().date()
    for never in (begins, date(2010, 1, 1)):
        with pytest.raises(InvalidSetting, match=f"no bar before {never}, its first is {begins}"):
            retire(store, "BTC", never, NOW)
    retire(store, "BTC", None, NOW + timedelta(hours=1))
    assert active_symbols(store, ["BTC", "ETH"], first) == ["BTC", "ETH"]
    with pytest.raises(MissingPartition):
        day_after_last_bar(store, "ETH")


def test_a_coin_without_a_new_bar_for_a_week_is_named_with_its_way_out():
    last_bars = {"BTC": LAST - timedelta(days=7), "ETH": LAST - timedelta(days=6)}
    (alert,) = silent_coins(last_bars, LAST)
    assert "`crypto-pool retire BTC`" in alert.text
    (next_day,) = silent_coins({"BTC": last_bars["BTC"]}, LAST + timedelta(days=1))
    assert next_day.key == alert.key


def test_a_pull_names_a_silent_coin_once_for_each_last_bar(store):
    pull(store, BARS.iloc[:-1])
    told = []
    for days, bars in ((5, -1), (6, -1), (7, -1), (8, None), (9, None)):
        last = LAST + timedelta(days=days)
        now = datetime(last.year, last.month, last.day, 12, tzinfo=UTC) + timedelta(days=1)
        told.append(Puller(store, BarSource(BARS.iloc[:bars]), last, now).pull("BTC")[1])
    named = [["retire BTC" in note for note in notes] for notes in told]
    assert named == [[], [True], [], [True], []]


def test_the_missing_day_that_keeps_features_away_is_named():
    bars = BARS.drop(BARS.index[-3])
    gap = BARS.index[-3]
    again = gap + pd.Timedelta(days=20)
    assert name_gap(bars, LAST, 20, "features begin") == (
        f"{gap:%Y-%m-%d} is missing; features begin again 20 days after it, on {again:%Y-%m-%d}"
    )
    assert name_gap(bars, (gap - pd.Timedelta(days=1)).date(), 20, "features begin") == ""
    assert name_gap(BARS.drop(BARS.index[-20]), LAST, 20, "features begin").endswith(
        f"on {LAST + timedelta(days=1)}"
    )
    both = name_gap(bars.drop(BARS.index[-9]), LAST, 20, "features begin")
    assert both.startswith(f"{gap:%Y-%m-%d} is missing"), "the latest of several"
    for over in (21, 30):
        assert name_gap(BARS.drop(BARS.index[-over]), LAST, 20, "features begin") == ""
    assert name_gap(BARS, LAST, 20, "features begin") == ""


@pytest.mark.parametrize("repetition", range(20))
def test_two_pulls_at_once_keep_the_later_bars(store, repetition):
    pull(store, BARS.iloc[:-2])
    together = Barrier(2)

    class Slow(BarSource):
        def daily_bars(self, symbol: str, last_closed: date) -> pd.DataFrame:
            together.wait(timeout=60)
            return self.bars

    def one(bars: pd.DataFrame) -> None:
        Puller(store, Slow(bars), LAST, NOW).pull("BTC")

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(one, (BARS, BARS.iloc[:-1])))
    assert store.read("daily_bars", "BTC").index[-1] == BARS.index[-1]
