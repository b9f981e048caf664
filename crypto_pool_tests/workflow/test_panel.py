"""The panel in the pool: what is stored once, stays, and is made again where it is missing."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import Target
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow import panel
from crypto_pool.workflow.panel import (
    FITS,
    FORECASTS,
    drop_forecasts,
    panel_probability,
    stored_fits,
    stored_forecasts,
    update_panel,
)

SYMBOLS = ("ADA", "BTC", "ETH", "LTC", "SOL", "XRP")
LAST = date(2021, 6, 30)
TARGET = Target()


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    made = FrameStore(str(tmp_path))
    for symbol in SYMBOLS:
        made.write("daily_bars", symbol, SyntheticMarket().bars(symbol, LAST))
    return made


def test_an_update_adds_the_fits_and_rows_that_are_due_and_no_more(store: FrameStore) -> None:
    first = update_panel(store, TARGET, LAST)
    assert len(first.added_fits) == len(first.fits) == 3
    assert (
        first.added_rows == len(first.forecasts) == len(SYMBOLS) * (LAST - first.added_fits[0]).days
    )
    again = update_panel(store, TARGET, LAST)
    assert (again.added_fits, again.added_rows) == ((), 0)
    pd.testing.assert_frame_equal(again.forecasts, first.forecasts)


def test_built_at_once_or_day_by_day_is_the_same(store: FrameStore, tmp_path: Path) -> None:
    at_once = update_panel(store, TARGET, LAST).forecasts
    daily = FrameStore(str(tmp_path / "daily"))
    for symbol in SYMBOLS:
        daily.write("daily_bars", symbol, store.read("daily_bars", symbol))
    for day in ("2021-01-20", "2021-03-20", "2021-03-21", LAST.isoformat()):
        update_panel(daily, TARGET, date.fromisoformat(day))
    pd.testing.assert_frame_equal(stored_forecasts(daily, TARGET), at_once)


def test_a_row_stays_whatever_becomes_of_the_bars_it_was_made_of(store: FrameStore) -> None:
    before = update_panel(store, TARGET, date(2021, 5, 1)).forecasts
    bars = store.read("daily_bars", "ETH")
    bars.loc["2021-02-01":"2021-02-10", ["open", "high", "low", "close"]] *= 1.5
    store.write("daily_bars", "ETH", bars)
    after = update_panel(store, TARGET, LAST).forecasts
    assert len(after) > len(before)
    pd.testing.assert_frame_equal(after.loc[before.index], before)


def test_a_coin_that_joins_with_an_older_history_moves_no_origin(store: FrameStore) -> None:
    before = update_panel(store, TARGET, date(2021, 5, 1))
    older = SyntheticMarket(epoch=date(2015, 1, 1)).bars("OLD", LAST)
    store.write("daily_bars", "OLD", older)
    after = update_panel(store, TARGET, LAST)
    assert list(after.fits)[: len(before.fits)] == list(before.fits)
    pd.testing.assert_frame_equal(after.forecasts.loc[before.forecasts.index], before.forecasts)
    # Its own past is forecast too, by the fits that knew nothing of it.
    joined = after.forecasts.xs("OLD", level="symbol")
    assert joined.index.min().date() > min(after.fits)
    assert "OLD" not in after.fits[min(after.fits)].symbols
    assert "OLD" in after.fits[max(after.fits)].symbols


@pytest.mark.parametrize("lost", [FORECASTS, FITS])
def test_what_a_kill_left_unwritten_is_made_by_the_next_update(
    store: FrameStore, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    write = FrameStore.write

    def killed(self: FrameStore, table: str, key: str, frame: pd.DataFrame) -> str:
        if table == lost:
            raise Killed
        return write(self, table, key, frame)

    with monkeypatch.context() as dying:
        dying.setattr(FrameStore, "write", killed)
        with pytest.raises(Killed):
            update_panel(store, TARGET, LAST)
    assert stored_forecasts(store, TARGET).empty
    healed = update_panel(store, TARGET, LAST)
    assert len(stored_fits(store, TARGET)) == 3
    assert len(healed.forecasts) == len(SYMBOLS) * (LAST - min(healed.fits)).days


def test_other_terms_are_kept_apart(store: FrameStore) -> None:
    five = update_panel(store, TARGET, LAST).forecasts
    ten = update_panel(store, Target(pct=0.1), LAST).forecasts
    assert (ten["panel_up"] < five["panel_up"]).all()
    pd.testing.assert_frame_equal(stored_forecasts(store, TARGET), five)


def test_dropped_rows_of_a_coin_are_made_again_by_the_stored_fits(
    store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = update_panel(store, TARGET, LAST).forecasts
    store.write(FORECASTS, "0|2021-01-01", before.head(1))
    Path(store.path(FORECASTS, "0|2021-01-01")).write_bytes(b"of other terms, and cut off")
    drop_forecasts(store, "ETH")
    assert "ETH" not in stored_forecasts(store, TARGET).index.get_level_values("symbol")
    monkeypatch.setattr(panel, "fit_panel", None)  # nothing is fitted again
    after = update_panel(store, TARGET, LAST)
    assert after.added_rows == (before.index.get_level_values("symbol") == "ETH").sum()
    pd.testing.assert_frame_equal(after.forecasts, before)


def test_a_member_reads_its_own_probability(store: FrameStore) -> None:
    forecasts = update_panel(store, TARGET, LAST).forecasts
    for trend, column in ((Trend.UPTREND, "panel_up"), (Trend.DOWNTREND, "panel_down")):
        own = panel_probability(forecasts, Member("SOL", trend))
        assert own.iloc[-1] == forecasts.loc[(pd.Timestamp(LAST), "SOL"), column]
        assert panel_probability(forecasts, Member("NONE", trend)).empty


def test_before_there_are_rows_enough_there_is_no_panel(store: FrameStore) -> None:
    update = update_panel(store, TARGET, date(2020, 9, 30))
    assert not update.fits
    assert update.forecasts.empty
    assert panel_probability(update.forecasts, Member("BTC", Trend.UPTREND)).empty


def test_a_pool_of_one_coin_has_a_panel_of_one_coin(tmp_path: Path) -> None:
    alone = FrameStore(str(tmp_path))
    alone.write(
        "daily_bars", "ETH", SyntheticMarket(epoch=date(2015, 1, 1)).bars("ETH", date(2020, 6, 1))
    )
    update = update_panel(alone, TARGET, date(2020, 6, 1))
    assert update.fits
    assert set(update.forecasts.index.get_level_values("symbol")) == {"ETH"}


def test_a_coin_whose_bars_cannot_be_read_stops_no_other(store: FrameStore) -> None:
    Path(store.path("daily_bars", "ETH")).write_bytes(b"cut off")
    update = update_panel(store, TARGET, LAST)
    assert list(update.faults) == ["ETH"]
    assert "BTC" in update.forecasts.index.get_level_values("symbol")


@pytest.mark.parametrize("table", [FITS, FORECASTS])
@pytest.mark.parametrize("place", [0, -1])
def test_a_damaged_file_is_named_and_the_rest_goes_on(
    store: FrameStore, table: str, place: int
) -> None:
    """Its way out works: deleted, it is made again at the same origin."""
    before = update_panel(store, TARGET, date(2021, 6, 20))
    key = store.keys(table)[place]
    damaged = Path(store.path(table, key))
    damaged.write_bytes(damaged.read_bytes()[:100])

    update = update_panel(store, TARGET, LAST)
    assert list(update.faults) == [key]
    assert f"{damaged} cannot be read as Parquet" in update.faults[key]
    assert "delete it, then run `crypto-pool build`" in update.faults[key]
    told = len(before.forecasts.loc[_days_of(key)])
    assert len(update.forecasts) >= len(before.forecasts) - told
    assert (update.added_rows > 0) is (place == 0)  # the days since are forecast by the last fit

    damaged.unlink()
    mended = update_panel(store, TARGET, LAST)
    assert mended.faults == {}
    assert list(mended.fits) == list(before.fits)
    assert len(mended.forecasts) == len(SYMBOLS) * (LAST - min(before.fits)).days


def _days_of(key: str) -> slice:
    first = pd.Timestamp(key.rpartition("|")[2]) + pd.Timedelta(days=1)
    return slice(first, first + pd.Timedelta(days=59))
