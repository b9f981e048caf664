"""Bars at the door: sound ones pass unchanged, others are refused by name."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.bar_validation import (
    PRICE_COLUMNS,
    ValidatedBars,
    validate_bars,
    why_too_young,
)
from crypto_pool.errors import InsufficientHistory, InvalidBars, UnfitBars
from crypto_pool.sandbox.market import SyntheticMarket

DAY = 100


def check(bars: pd.DataFrame, last_closed: date = date(2030, 1, 1)) -> ValidatedBars:
    return validate_bars(bars, "BTC", last_closed)


def test_sound_bars_pass_unchanged(bars):
    result = check(bars)
    assert not result.faults
    pd.testing.assert_frame_equal(result.bars, bars, check_freq=False)


def test_bars_out_of_order_are_sorted_and_the_callers_frame_is_left_alone(bars):
    newest_first = bars.iloc[::-1]
    before = newest_first.copy()
    result = check(newest_first)
    assert list(result.faults) == ["order"]
    pd.testing.assert_frame_equal(result.bars, bars, check_freq=False)
    pd.testing.assert_frame_equal(newest_first, before)


def test_the_same_bar_twice_is_kept_once(bars):
    result = check(pd.concat([bars, bars.iloc[[-1]]]))
    assert list(result.faults) == ["duplicate"]
    assert len(result.bars) == len(bars)


def test_two_different_bars_for_one_day_are_refused(bars):
    other = bars.iloc[[DAY]] * 1.01
    with pytest.raises(InvalidBars, match=r"BTC: different bars .* 2020-11-09"):
        check(pd.concat([bars, other]))


def test_an_unfinished_bar_never_enters(bars):
    last_closed = bars.index[-2].date()
    result = check(bars, last_closed)
    assert list(result.faults) == ["unfinished"]
    assert result.bars.index[-1].date() == last_closed
    assert f"{bars.index[-1]:%Y-%m-%d}: " in result.faults["unfinished"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_with_a_non_finite_value_becomes_a_missing_day(bars, value):
    bars.iloc[DAY, 3] = value
    result = check(bars)
    assert list(result.faults) == ["non_finite", "gap"]
    assert bars.index[DAY] not in result.bars.index


@pytest.mark.parametrize(
    "impossible",
    [
        lambda row: {"high": (row["open"] + row["close"]) / 2},
        lambda row: {"low": (row["open"] + row["close"]) / 2},
        lambda row: dict.fromkeys(PRICE_COLUMNS, 0.0),
        lambda row: {"close": -1.0},
        lambda row: {"volume": -1.0},
    ],
    ids=[
        "high below a price",
        "low above a price",
        "prices of 0",
        "negative price",
        "negative volume",
    ],
)
def test_an_impossible_row_becomes_a_missing_day(bars, impossible):
    for column, value in impossible(bars.iloc[DAY]).items():
        bars.loc[bars.index[DAY], column] = value
    result = check(bars)
    assert list(result.faults) == ["impossible", "gap"]
    assert "BTC: impossible on 2020-11-09: " in result.faults["impossible"]


def test_zero_volume_is_noted_and_kept(bars):
    bars.iloc[DAY, 4] = 0.0
    result = check(bars)
    assert list(result.faults) == ["zero_volume"]
    assert len(result.bars) == len(bars)


def test_missing_days_are_noted_and_never_filled(bars):
    result = check(bars.drop(bars.index[DAY : DAY + 5]))
    assert list(result.faults) == ["gap"]
    assert "2020-11-11 and 2 more" in result.faults["gap"]
    assert len(result.bars) == len(bars) - 5


def test_a_history_too_short_counts_real_bars_and_names_the_day_it_will_be_enough(bars):
    enough = check(bars.iloc[-121:].drop(bars.index[-100])).bars
    assert why_too_young(enough, "BTC") == ""
    young = check(enough.iloc[80:]).bars
    day = young.index[-1] + pd.Timedelta(days=80)
    assert "BTC: 40 usable bars" in why_too_young(young, "BTC")
    assert f"(on {day:%Y-%m-%d} there will be enough)" in why_too_young(young, "BTC")


def test_bars_without_a_needed_column_or_without_dates_are_refused(bars):
    with pytest.raises(InvalidBars, match="lack volume"):
        check(bars.drop(columns="volume"))
    with pytest.raises(InvalidBars, match="lack close, or have it twice"):
        check(pd.concat([bars, bars[["close"]]], axis=1))
    with pytest.raises(InvalidBars, match="bar dates"):
        check(bars.reset_index(drop=True))
    days = bars.index.to_series()
    days.iloc[DAY] = pd.NaT
    with pytest.raises(InvalidBars, match="1 bars have no date"):
        check(bars.set_axis(pd.DatetimeIndex(days)))
    with pytest.raises(InvalidBars, match="within the day"):
        check(bars.shift(6, freq="h"))
    with_text = bars.astype(object)
    with_text.iloc[3, 0] = "n/a"
    with pytest.raises(InvalidBars, match="no number"):
        check(with_text)


def test_an_empty_frame_is_too_short_and_no_crash(bars):
    with pytest.raises(InsufficientHistory, match="0 usable bars"):
        check(bars.iloc[:0])


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_dates_with_a_zone_become_utc_days(bars, zone):
    result = check(bars.tz_localize("UTC").tz_convert(zone))
    pd.testing.assert_frame_equal(result.bars, bars, check_freq=False)


LONG = SyntheticMarket().bars("BTC", date(2021, 2, 28))
THROUGH = LONG.index[-1].date()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.assign(volume=np.nan), r"volume is missing in \d+ rows; that leaves 0 usable"),
        (
            lambda b: b.assign(close=np.nan, open=np.nan),
            "open is missing in .*, close is",
        ),
        (
            lambda b: b.assign(high=b["low"], low=b["high"]),
            "rows are impossible: high or",
        ),
        (lambda b: b.assign(low=-1.0), "rows are impossible: .*a price is not above 0"),
        (
            lambda b: b.assign(close=b["close"].where(b.index.day % 2 == 0)),
            r"close is missing in 217 rows; that leaves 208 usable bars .*, day by day",
        ),
        (
            lambda b: b.set_axis(b.index + pd.Timedelta(days=3000)),
            "unfinished on 2028-03-19.*; that leaves 0 usable bars.*, or the clock",
        ),
    ],
)
def test_a_history_too_short_is_told_by_its_first_cause(change, message):
    with pytest.raises(InsufficientHistory, match=f"^BTC: .*{message}"):
        validate_bars(change(LONG), "BTC", THROUGH)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.assign(volume=0.0), r"volume is 0 in all \d+ bars"),
        (
            lambda b: b.assign(volume=b["volume"].where(b.index < "2020-12-01", 0.0)),
            "volume is 0 in the 60 bars since 2020-12-31",
        ),
        (
            lambda b: b.assign(open=1.0, high=1.0, low=1.0, close=1.0),
            "the price is constant, 1 in all",
        ),
        (
            lambda b: pd.concat(
                [b.iloc[:-80], b.iloc[-80:].assign(open=2, high=2, low=2, close=2)]
            ),
            "the price is constant, 2 in the 60 bars since",
        ),
        (lambda b: b.iloc[::7], "these are weekly bars, one every 7 days"),
        (lambda b: b[b.index.day == 1], "these are monthly bars"),
        (lambda b: b.iloc[::2], "these are bars, one every 2 days"),
    ],
)
def test_bars_that_teach_nothing_are_unfit_by_name(change, message):
    with pytest.raises(UnfitBars, match=f"^BTC: .*{message}"):
        validate_bars(change(LONG), "BTC", THROUGH)


@pytest.mark.parametrize(
    ("step", "kind"), [(27, ""), (28, "monthly "), (31, "monthly "), (32, ""), (6, ""), (8, "")]
)
def test_bars_of_weeks_and_of_months_are_called_so(step, kind):
    long = SyntheticMarket(epoch=date(2012, 1, 1)).bars("BTC", THROUGH).iloc[::step]
    with pytest.raises(UnfitBars, match=f"these are {kind}bars, one every {step} days"):
        validate_bars(long, "BTC", THROUGH)


def test_two_bars_alone_tell_no_step():
    """A third is needed for what is regular."""
    assert len(check(LONG.iloc[[0, 7]]).bars) == 2
    with pytest.raises(UnfitBars, match="weekly"):
        check(LONG.iloc[[0, 7, 14]])


def test_a_standstill_of_less_than_sixty_bars_is_none():
    still = dict.fromkeys(PRICE_COLUMNS, 2.0)
    for days, is_unfit in ((59, False), (60, True), (61, True)):
        for change in (still, {"volume": 0.0}):
            bars = pd.concat([LONG.iloc[:-days], LONG.iloc[-days:].assign(**change)])
            if is_unfit:
                with pytest.raises(UnfitBars):
                    validate_bars(bars, "BTC", THROUGH)
            else:
                assert len(validate_bars(bars, "BTC", THROUGH).bars) == len(LONG)


def test_two_bars_on_half_the_days_are_no_intraday_ones():
    half = LONG.iloc[: len(LONG) // 2 * 2]
    twice = half.iloc[: len(half) // 2].assign(volume=half["volume"] * 2)
    with pytest.raises(InvalidBars, match="no repair can tell which is true"):
        validate_bars(pd.concat([half, twice]), "BTC", THROUGH)


def test_several_bars_on_most_days_are_intraday_ones():
    halves = pd.concat([LONG, LONG.assign(close=LONG["close"] * 0.999)])
    with pytest.raises(InvalidBars, match="as on most days: these are intraday bars"):
        validate_bars(halves, "BTC", THROUGH)
