"""A pull joins the stored bars; a changed past never slips in."""

from datetime import date

import pandas as pd
import pytest

from crypto_pool.domain.bar_history import merge_bars, name_days
from crypto_pool.sandbox.market import SyntheticMarket

ALL = SyntheticMarket().bars("BTC", date(2021, 6, 30))
STORED = ALL.iloc[:400]


def test_the_first_pull_is_taken_as_it_is():
    merge = merge_bars(None, STORED)
    assert merge.verdict == "first"
    assert merge.bars is STORED


def test_new_days_are_appended_and_the_same_pull_again_adds_none():
    merge = merge_bars(STORED, ALL)
    assert (merge.verdict, merge.added) == ("extended", len(ALL) - 400)
    pd.testing.assert_frame_equal(merge.bars, ALL)
    again = merge_bars(merge.bars, ALL)
    assert (again.verdict, again.added) == ("unchanged", 0)
    pd.testing.assert_frame_equal(again.bars, ALL)


def test_days_before_the_stored_start_are_never_prepended():
    merge = merge_bars(ALL.iloc[100:400], ALL)
    assert merge.bars.index[0] == ALL.index[100]
    assert merge.older == 100


def test_history_never_shrinks_because_the_provider_returned_less():
    pulled = ALL.iloc[200:450].drop(ALL.index[[250, 251]])
    merge = merge_bars(STORED, pulled)
    pd.testing.assert_frame_equal(merge.bars, ALL.iloc[:450])
    assert merge.missing == (ALL.index[250].date(), ALL.index[251].date())
    ended_early = merge_bars(STORED, ALL.iloc[:300])
    pd.testing.assert_frame_equal(ended_early.bars, STORED)
    assert len(ended_early.missing) == 100


def test_a_late_bar_fills_its_gap():
    merge = merge_bars(STORED.drop(STORED.index[50]), ALL)
    assert merge.filled == (ALL.index[50].date(),)
    pd.testing.assert_frame_equal(merge.bars, ALL)


def test_a_few_restated_days_are_reported_and_the_stored_ones_stay():
    pulled = ALL.copy()
    pulled.iloc[[10, 397], 0] *= 1.001
    merge = merge_bars(STORED, pulled)
    assert merge.verdict == "restated"
    assert merge.restated == (ALL.index[10].date(), ALL.index[397].date())
    told = f"BTC: {ALL.index[10]:%Y-%m-%d}, {ALL.index[397]:%Y-%m-%d} restated by the source"
    assert merge.notes("BTC")[0].startswith(told)
    pd.testing.assert_frame_equal(merge.bars.iloc[:400], STORED)
    assert merge.added == len(ALL) - 400


def test_a_price_that_differs_by_rounding_is_not_restated():
    pulled = ALL.copy()
    pulled.iloc[10, 0] *= 1 + 5e-5
    assert merge_bars(STORED, pulled).restated == ()


@pytest.mark.parametrize(
    ("start", "days", "verdict"),
    [(0, 40, "restated"), (0, 41, "refused"), (380, 5, "restated"), (380, 6, "refused")],
)
def test_a_tenth_of_the_days_in_common_or_five_may_be_restated(start, days, verdict):
    pulled = ALL.iloc[start:].copy()
    pulled.iloc[:days, 0] *= 1.001
    assert merge_bars(STORED, pulled).verdict == verdict


def scaled(factor: float, columns: list[str]) -> pd.DataFrame:
    return ALL.assign(**{name: ALL[name] * factor for name in columns})


PRICES = ["open", "high", "low", "close"]


@pytest.mark.parametrize(
    ("pulled", "reason"),
    [
        (scaled(1000, PRICES), "closes are now 1000 times"),
        (scaled(1.002, PRICES), "400 of 400 days in common are restated"),
        (scaled(1.011, PRICES), "closes are now 1.011 times"),
        (scaled(0.989, PRICES), "closes are now 0.989 times"),
        (scaled(0.991, PRICES), "400 of 400 days in common are restated"),
        (scaled(7, ["volume"]), "volumes are now 7 times"),
        (scaled(7, ["volume"]).iloc[380:], "over 20 days in common the volumes are now 7 times"),
        (scaled(2.02, ["volume"]), "volumes are now 2.02 times"),
        (scaled(0.49, ["volume"]), "volumes are now 0.49 times"),
        (scaled(0.4, ["volume"]), "volumes are now 0.4 times"),
        (scaled(1.03, PRICES).iloc[396:], "closes are now 1.03 times"),
        (SyntheticMarket().bars("ETH", date(2021, 6, 30)), "another coin under the old name"),
        (ALL.iloc[420:], "no day in common"),
        (ALL.iloc[400:], "no day in common"),
    ],
    ids=["redenominated", "another venue's prices", "1.1 % more", "1.1 % less", "0.9 % less",
         "more volume", "more volume for 20 days", "twice the volume", "half the volume",
         "less volume", "another level",
         "renamed", "gap", "adjacent"],
)  # fmt: skip
def test_another_history_is_refused_as_a_whole(pulled, reason):
    merge = merge_bars(STORED, pulled)
    assert merge.verdict == "refused"
    assert reason in merge.reason
    pd.testing.assert_frame_equal(merge.bars, STORED)
    assert merge.added == 0


@pytest.mark.parametrize(
    ("stored", "pulled"),
    [
        (STORED, scaled(1.99, ["volume"])),
        (STORED, scaled(0.51, ["volume"])),
        (STORED.assign(volume=0.0), ALL),
        (STORED, scaled(7, ["volume"]).iloc[381:]),
    ],
    ids=["below twice", "above half", "none stored", "19 days in common"],
)
def test_another_volume_alone_is_no_other_history(stored, pulled):
    merge = merge_bars(stored, pulled)
    assert (merge.verdict, merge.added) == ("restated", len(ALL) - 400)


def test_a_restated_volume_is_named_and_the_stored_one_stays():
    pulled = ALL.copy()
    pulled.iloc[10, pulled.columns.get_loc("volume")] *= 10
    merge = merge_bars(STORED, pulled)
    assert merge.restated == (ALL.index[10].date(),)
    pd.testing.assert_frame_equal(merge.bars.iloc[:400], STORED)


def test_of_days_past_counting_the_first_are_named_with_how_many_more_there_are():
    days = [day.date() for day in ALL.index[:32]]
    assert name_days(days[:30]).endswith(f", {days[29]}")
    assert name_days(days).endswith(f", {days[29]} and 2 more")


@pytest.mark.parametrize("column", ["close", "volume"])
def test_the_latest_two_stored_days_are_replaced_and_said_so(column):
    pulled = ALL.iloc[:401].copy()
    pulled.iloc[[398, 399], pulled.columns.get_loc(column)] *= 1.002
    merge = merge_bars(STORED, pulled)
    assert (merge.verdict, merge.restated) == ("extended", ())
    assert merge.replaced == (ALL.index[398].date(), ALL.index[399].date())
    pd.testing.assert_frame_equal(merge.bars, pulled)
    assert "replaced by what the source gives now" in merge.notes("BTC")[0]
    same_days = merge_bars(STORED, pulled.iloc[:400])
    assert same_days.verdict == "replaced"
    assert merge_bars(same_days.bars, pulled.iloc[:400]).verdict == "unchanged"


def test_older_days_are_named_with_the_way_to_take_them():
    notes = merge_bars(ALL.iloc[100:400], ALL).notes("BTC")
    span = f"{ALL.index[0]:%Y-%m-%d} to {ALL.index[99]:%Y-%m-%d}"
    assert notes == [
        f"BTC: 100 older days, {span}, are left out: `crypto-pool restart-history BTC` takes them"
    ]
