"""Level breaks: what is one, what is none, and that nothing is computed across."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.bar_validation import PRICE_COLUMNS
from crypto_pool.domain.breaks import by_segment, first_break, level_breaks, volume_breaks
from crypto_pool.domain.features import assemble_features
from crypto_pool.domain.indicators import compute_indicators, restart_at_breaks
from crypto_pool.domain.labels import label_target
from crypto_pool.domain.members import Trend
from crypto_pool.domain.recipe import Target
from crypto_pool.domain.reference import random_walk_probability
from crypto_pool.sandbox.market import SyntheticMarket

BARS = SyntheticMarket().bars("BTC", date(2021, 1, 31))
AT = 200
DAY = BARS.index[AT].date()


def scaled(bars: pd.DataFrame, factor: float, columns=PRICE_COLUMNS) -> pd.DataFrame:
    """The bars with prices on another level from AT on."""
    changed = bars.copy()
    places = [changed.columns.get_loc(name) for name in columns]
    changed.iloc[AT:, places] *= factor
    return changed


@pytest.mark.parametrize("factor", [1000.0, 100.0, 4.0, 1 / 1000, 1 / 4])
def test_another_level_overnight_is_a_break(factor):
    (found,) = level_breaks(scaled(BARS, factor))
    assert (found.day, found.before) == (DAY, BARS.index[AT - 1].date())
    assert found.ratio == pytest.approx(factor, rel=0.2)
    assert first_break(scaled(BARS, factor), ()) == found
    assert first_break(scaled(BARS, factor), (DAY,)) is None


@pytest.mark.parametrize("factor", [1.0, 2.0, 1 / 2])
def test_a_strong_move_is_none(factor):
    assert level_breaks(scaled(BARS, factor)) == ()


def test_where_opens_repeat_the_close_before_a_crash_is_none_and_another_unit_is():
    """LUNA lost 99.5 % in a day."""
    for factor, breaks in ((0.0045, 0), (1 / 1000, 1), (1000.0, 1), (300.0, 0)):
        bars = scaled(BARS, factor)
        bars.iloc[AT, bars.columns.get_loc("open")] = bars["close"].iloc[AT - 1]
        assert len(level_breaks(bars)) == breaks, factor


@pytest.mark.parametrize(("factor", "breaks"), [(10.0, 0), (30.0, 1), (1 / 30, 1)])
def test_across_a_gap_twenty_times_is_a_break(factor, breaks):
    bars = scaled(BARS, factor).drop(BARS.index[AT - 5 : AT])
    assert len(level_breaks(bars)) == breaks


def test_what_follows_a_break_or_a_long_gap_is_computed_as_if_it_began_there():
    long_gap = BARS.drop(BARS.index[AT - 21 : AT])
    for bars in (scaled(BARS, 1000.0), long_gap):
        after = bars.loc[str(DAY) :]
        pd.testing.assert_frame_equal(
            compute_indicators(bars).loc[str(DAY) :], compute_indicators(after)
        )
    before_and_after = compute_indicators(BARS.drop(BARS.index[AT - 20 : AT]))
    assert np.isfinite(before_and_after.loc[str(DAY), "OBV"])
    assert np.isfinite(before_and_after.loc[str(DAY), "MACD"])  # 20 missing days are bridged


def test_no_feature_label_or_reference_spans_a_break():
    """The 33 days a feature row needs, the days whose target lies beyond, the 60 returns."""
    bars = scaled(BARS, 1000.0)
    features = assemble_features(compute_indicators(bars)).features
    assert not len(features.loc[str(DAY) : str(BARS.index[AT + 25].date())])
    for kind in ("sma_shift", "forward_return"):
        labels = label_target(bars, Trend.UPTREND, Target(kind, 0.05, 10))
        assert labels.iloc[AT - 10 : AT].isna().all()
        assert labels.iloc[AT - 11] in (0.0, 1.0)
    reference = random_walk_probability(bars, Trend.UPTREND)
    assert reference.iloc[AT : AT + 60].isna().all()
    assert reference.iloc[[AT - 1, AT + 60]].notna().all()


@pytest.mark.parametrize("length", [0, 1, 2, 30])
def test_stretches_too_short_for_an_indicator_are_no_crash(length):
    assert len(compute_indicators(BARS.iloc[:length])) == length
    bars = pd.concat([BARS.iloc[:AT], scaled(BARS, 1000.0).iloc[AT : AT + length]])
    assert len(compute_indicators(bars)) == AT + length
    assert by_segment(bars, lambda part: part).equals(bars)


def flat(count: int = 60, *, opens: float = 1.0, closes: float = 1.0, volume: float = 1.0):
    """Bars of price and volume 1, from the middle on at another open, close and volume."""
    half = count // 2
    values = {"open": opens, "close": closes, "volume": volume}
    bars = pd.DataFrame({name: [1.0] * half + [one] * half for name, one in values.items()})
    bars.loc[half + 1 :, "open"] = closes
    return bars.set_axis(pd.date_range("2024-01-01", periods=count))


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(
    ("moved", "gap", "limit"), [("opens", 0, 3.0), ("closes", 0, 400.0), ("closes", 5, 20.0)]
)
def test_a_break_is_what_moves_by_more_than_any_market_did(moved, gap, limit, invert):
    """Three times overnight, 400 times in a day, twenty times across missing days."""
    for ratio, breaks in ((0.99 * limit, 0), (1.01 * limit, 1)):
        factor = 1 / ratio if invert else ratio
        level = {"opens": factor if moved == "opens" else 1.0, "closes": factor}
        if moved == "opens":
            level["closes"] = min(max(factor, 1 / 2.9), 2.9)
        bars = flat(**level)
        bars = bars.drop(bars.index[30 - gap : 30])
        found = level_breaks(bars)
        assert len(found) == breaks
        assert all(one.ratio == pytest.approx(factor) for one in found)


@pytest.mark.parametrize("invert", [False, True])
def test_volume_is_another_unit_where_twenty_bars_are_six_times_apart(invert):
    for ratio, count, breaks in ((6.06, 60, 1), (5.94, 60, 0), (6.06, 40, 1), (6.06, 38, 0)):
        bars = flat(count, volume=1 / ratio if invert else ratio)
        assert len(volume_breaks(bars)) == breaks


@pytest.mark.parametrize("factor", [60.0, 1 / 1000])
def test_volume_in_another_unit_is_named_from_the_first_such_day(factor):
    (found,) = volume_breaks(scaled(BARS, factor, ("volume",)))
    assert (found.day, found.before) == (DAY, BARS.index[AT - 1].date())
    assert found.ratio == pytest.approx(factor, rel=0.5)
    assert volume_breaks(BARS) == volume_breaks(scaled(BARS, 2.0, ("volume",))) == ()


def test_a_providers_indicators_start_anew_at_a_break_and_at_a_restart():
    """It computes across them; up to there its rows stay, from there the bars since count."""
    terms = {"time_period": 7, "series_type": "close"}
    broken = scaled(BARS, 1000.0)
    given = compute_indicators(broken, True, **terms) + 1.0  # told apart from what is made here
    anew = restart_at_breaks(given, broken, None, **terms)
    own = compute_indicators(broken.iloc[AT:], True, **terms)
    pd.testing.assert_frame_equal(anew.iloc[:AT], given.iloc[:AT])
    pd.testing.assert_frame_equal(anew.iloc[AT:], own, check_freq=False)
    kept = broken.iloc[AT:]
    restarted = restart_at_breaks(given, kept, DAY, **terms)
    pd.testing.assert_frame_equal(restarted, own, check_freq=False)
    slid = given.iloc[AT + 9 :]
    assert restart_at_breaks(slid, kept, DAY, **terms) is slid
