"""A day of forecasts joins what is stored of it: nothing is lost, and what was in time stays."""

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from multiprocessing.synchronize import Barrier

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Decisions
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import Target
from crypto_pool.domain.tables import MISSING_FORECASTS, PREDICTIONS, SHADOW_PREDICTIONS
from crypto_pool.errors import CorruptPartition, MissingFeatures, UntrustedModel
from crypto_pool.workflow import day_forecasts
from crypto_pool.workflow.baseline import Baseline
from crypto_pool.workflow.day_rows import join_rows, stored_rows
from crypto_pool.workflow.forecasting import ServingVersion
from crypto_pool.workflow.frames import FrameCache
from crypto_pool_tests.workflow.forecast_days import (
    COINS,
    DAY,
    LATE,
    NOON,
    Version,
    forecaster,
    pending,
    plan_of,
    row_of,
    say,
    versions,
    write_walk,
)

pytestmark = pytest.mark.usefixtures("quick_models")


def test_a_row_made_in_time_is_never_replaced_by_a_late_one(store):
    """What is missing is added, and late rows alone are made anew."""
    forecaster(store, "AAA").forecast_day(DAY)
    forecaster(store, "AAA", "BBB", version="2", now=LATE).forecast_day(DAY)
    assert versions(store) == {"AAA": "1", "BBB": "2"}
    result = forecaster(store, "AAA", "BBB", "CCC", version="3", now=LATE).forecast_day(DAY)
    assert versions(store) == {"AAA": "1", "BBB": "3", "CCC": "3"}
    late = {row["symbol"]: row["late"] for row in stored_rows(store, PREDICTIONS, f"{DAY}")}
    assert late == {"AAA": False, "BBB": True, "CCC": True}
    assert result.kept == 1


def test_a_day_run_again_in_time_replaces_its_rows_and_keeps_the_others(store):
    forecaster(store, "AAA", "BBB").forecast_day(DAY)
    forecaster(store, "AAA", version="2", now=NOON + timedelta(hours=1)).forecast_day(DAY)
    assert versions(store) == {"AAA": "2", "BBB": "1"}


def test_a_day_whose_file_holds_another_day_s_rows_is_pending_and_named(store):
    forecaster(store, "AAA").forecast_day(DAY)
    assert DAY not in pending(store, DAY, "AAA")
    rows = store.read(PREDICTIONS.store_name, f"{DAY}")
    store.write(
        PREDICTIONS.store_name, f"{DAY}", rows.assign(prediction_date=DAY - timedelta(days=1))
    )
    assert pending(store, DAY, "AAA")[DAY] == {"AAA_uptrend"}
    with pytest.raises(CorruptPartition, match="it has rows of prediction_date 2024-02-29"):
        forecaster(store, "AAA").forecast_day(DAY)


def test_a_row_of_an_earlier_release_that_says_nothing_of_late_was_in_time():
    member = Member("AAA", Trend.UPTREND)
    old = {**row_of(member, "1", DAY, False), "late": None}
    made = row_of(member, "2", DAY, True)
    assert join_rows([old], [made], PREDICTIONS) == ([old], [])


def test_shadows_are_of_versions_that_then_were_trained_and_do_not_serve(store):
    member = Member("AAA", Trend.UPTREND)
    shadows = [Version("1"), Version("2"), Version("3", DAY + timedelta(days=1))]
    forecaster(store, "AAA", shadows={member: shadows}).forecast_day(DAY)
    assert versions(store) == {"AAA": "1"}
    assert versions(store, SHADOW_PREDICTIONS) == {"AAA": "2"}


def test_members_without_a_row_are_listed_with_their_reason_and_fail_nothing(store):
    """Asking again changes nothing for one whose bar is there; the day is not pending for it."""
    faults = {"BBB": MissingFeatures("a gap within 60 days"), "CCC": ValueError("broken")}
    result = forecaster(store, "AAA", "BBB", "CCC", faults=faults).forecast_day(DAY)
    assert result.without_row == {"BBB_uptrend": "a gap within 60 days"}
    assert result.failures == {"CCC_uptrend": "ValueError: broken"}
    [missing] = stored_rows(store, MISSING_FORECASTS, DAY.isoformat())
    assert (missing["symbol"], missing["reason"], missing["has_bar"]) == (
        *("BBB", "a gap within 60 days"), True,
    )  # fmt: skip
    assert pending(store, DAY, "AAA", "BBB") == {}
    assert pending(store, DAY, "AAA", "CCC") == {DAY: {"CCC_uptrend"}}
    forecaster(store, "BBB").forecast_day(DAY)
    assert stored_rows(store, MISSING_FORECASTS, DAY.isoformat()) == []


def test_every_member_is_pending_each_day_from_the_pools_first_forecast_on(store):
    """Also those that no champion serves: the baseline does."""
    assert list(pending(store, DAY, "AAA")) == [DAY]
    write_walk(store, "AAA")
    forecaster(store, "AAA", version="").forecast_day(DAY)
    later = DAY + timedelta(days=2)
    missed = [DAY + timedelta(days=1), later]
    assert pending(store, later, "AAA") == {day: {"AAA_uptrend"} for day in missed}


def test_who_has_no_champion_is_forecast_by_the_baseline_without_a_signal(store):
    reference = write_walk(store, "AAA")[pd.Timestamp(DAY)]
    panel = pd.DataFrame(
        {"panel_up": 0.9, "panel_down": 0.05, "position": 0.02, "sigma": 0.04, "drift": -0.001},
        index=pd.MultiIndex.from_tuples([(pd.Timestamp(DAY), "AAA")], names=["bar_date", "symbol"]),
    )
    panel = panel.assign(origin=DAY - timedelta(days=9))
    condemned = pd.DataFrame(
        [{"decision": "quarantined", "algorithm": "Panel", "as_of": DAY - timedelta(days=1)}]
    )
    for name, rows, decided, expected in (
        ("RandomWalk", panel.iloc[:0], {}, (reference, None)),
        ("Panel", panel, {}, (0.9, 0.9)),
        ("RandomWalk", panel, {Member("AAA", Trend.UPTREND): condemned}, (reference, 0.9)),
    ):
        baseline = Baseline(FrameCache(store), rows, Target(), decided)
        one = forecaster(store, "AAA", version="", baseline=baseline)
        result = one.forecast_day(DAY)
        assert (result.without_row, result.failures) == ({}, {})
        [row] = stored_rows(store, PREDICTIONS, DAY.isoformat())
        assert (row["status"], row["algorithm"], row["signal"]) == ("baseline", name, False)
        assert row["model_version"] is None
        probability, of_panel = expected
        assert row["probability"] == pytest.approx(probability)
        assert row["reference_probability"] == pytest.approx(reference)
        assert of_panel is None or row["panel_probability"] == of_panel
        odds = np.log(probability / (1 - probability))
        anchor = "panel_logit" if name == "Panel" else "reference_logit"
        assert dict(json.loads(row["features"])) == {anchor: pytest.approx(odds)}
        parts = {
            one["feature"]: one["contribution"] for one in json.loads(row["top_contributions"])
        }
        assert parts["reference"] == pytest.approx(reference - 0.5)
        assert set(parts) == {"reference"} | ({"volatility", "drift"} if name == "Panel" else set())


def test_a_coin_of_120_bars_is_forecast_and_a_younger_one_told_from_which_day_on(store):
    write_walk(store, "AAA")
    bars = store.read("daily_bars", "AAA").loc[: pd.Timestamp(DAY)]
    store.write("daily_bars", "AAA", bars.tail(120))
    store.write("daily_bars", "BBB", bars.tail(119))
    result = forecaster(store, "AAA", "BBB", version="").forecast_day(DAY)
    [row] = stored_rows(store, PREDICTIONS, DAY.isoformat())
    assert (row["symbol"], row["status"]) == ("AAA", "baseline")
    assert result.failures == {}
    assert "on 2024-03-02 there will be enough" in result.without_row["BBB_uptrend"]


@pytest.mark.parametrize(
    "fault", [MissingFeatures("no feature row"), UntrustedModel("files changed")]
)
def test_a_champion_that_cannot_speak_abstains_with_the_baselines_probability(store, fault):
    reference = write_walk(store, "AAA")[pd.Timestamp(DAY)]
    result = forecaster(store, "AAA", faults={"AAA": fault}).forecast_day(DAY)
    [row] = stored_rows(store, PREDICTIONS, DAY.isoformat())
    assert (row["status"], row["signal"]) == ("abstain", False)
    assert (row["algorithm"], row["model_version"]) == ("RandomWalk", None)
    assert str(fault) in row["abstain_reason"]
    assert row["probability"] == pytest.approx(reference)
    # A model that is damaged is still to be mended; inputs that are missing are no failure.
    assert bool(result.failures) is isinstance(fault, UntrustedModel)


@pytest.mark.parametrize(
    ("fault", "features_come", "is_owed", "behind"),
    [
        (MissingFeatures("no feature row"), True, True, ()),
        (MissingFeatures("no feature row"), False, False, ("AAA",)),
        (UntrustedModel("files changed"), True, False, ()),
    ],
)
def test_a_day_owes_the_features_for_which_the_baseline_stood_in_and_then_the_forecast(
    store, fault, features_come, is_owed, behind
):
    """As after a kill between bars and features, where the forecasts came before the rest."""
    write_walk(store, "AAA")
    forecaster(store, "AAA", faults={"AAA": fault}).forecast_day(DAY)
    days = pd.date_range(DAY - timedelta(days=5), periods=5 + features_come, name="date")
    store.write("feature_table", "AAA", pd.DataFrame({"MACD": 1.0}, index=days))
    owed = {DAY: frozenset({"AAA_uptrend"})} if is_owed else {}
    assert pending(store, DAY, "AAA") == owed
    assert plan_of(store, DAY, "AAA").behind == behind
    assert DAY not in pending(store, DAY + timedelta(days=1), "AAA")  # its rows are to stay
    forecaster(store, "AAA").forecast_day(DAY)
    assert pending(store, DAY, "AAA") == {}


def test_features_that_a_gap_keeps_away_are_not_asked_for(store):
    write_walk(store, "AAA")
    bars = store.read("daily_bars", "AAA").drop(pd.Timestamp(DAY - timedelta(days=19)))
    forecaster(store, "AAA", faults={"AAA": MissingFeatures("after a gap")}).forecast_day(DAY)
    for gapped, behind in ((bars, ()), (bars.tail(19), ("AAA",))):
        store.write("daily_bars", "AAA", gapped.loc[: pd.Timestamp(DAY)])
        assert plan_of(store, DAY, "AAA").behind == behind


def test_a_day_on_which_nobody_could_be_forecast_says_why(store):
    nobody = forecaster(store, "AAA", faults={"AAA": MissingFeatures("AAA_uptrend has no row")})
    with pytest.raises(MissingFeatures, match="no forecast for 2024-03-01: AAA_uptrend has no"):
        nobody.forecast_day(DAY)


def test_a_coin_without_bars_that_nobody_serves_is_listed_and_fails_nothing(store):
    result = forecaster(store, "GONE", version="").forecast_day(DAY)
    assert list(result.without_row) == ["GONE_uptrend"]
    assert result.failures == {}


@pytest.mark.parametrize(("days", "has_bar"), [(-1, False), (0, True), (1, True)])
def test_a_member_without_a_row_is_asked_for_again_until_its_bar_is_there(store, days, has_bar):
    bars = store.read("daily_bars", "BBB").loc[: pd.Timestamp(DAY) + pd.Timedelta(days=days)]
    store.write("daily_bars", "BBB", bars)
    forecaster(store, "AAA", "BBB", faults={"BBB": MissingFeatures("a gap")}).forecast_day(DAY)
    [missing] = stored_rows(store, MISSING_FORECASTS, DAY.isoformat())
    assert missing["has_bar"] == has_bar


def test_a_damaged_ledger_of_a_member_stops_no_other(store):
    broken = ValueError("its ledger cannot be read")
    decisions = Decisions({Member("AAA", Trend.UPTREND): broken})
    result = forecaster(store, "AAA", "BBB", decisions=decisions).forecast_day(DAY)
    assert result.failures == {"AAA_uptrend": "ValueError: its ledger cannot be read"}
    assert versions(store) == {"BBB": "1"}


@pytest.mark.parametrize("repetition", range(50))
def test_two_that_write_a_day_at_once_lose_nothing(store, repetition):
    with ThreadPoolExecutor(len(COINS)) as threads:
        list(threads.map(lambda coin: forecaster(store, coin).forecast_day(DAY), COINS))
    assert versions(store) == dict.fromkeys(COINS, "1")


def _write_as_a_process(root: str, coin: str, times: int, together: Barrier) -> None:
    day_forecasts.forecast = say
    day_forecasts.choose_forecaster = lambda registry, champion, *_: ServingVersion(
        champion.member, champion.version
    )
    together.wait(timeout=120)
    for _ in range(times):
        forecaster(FrameStore(root), coin).forecast_day(DAY)


def test_two_processes_that_write_a_day_at_once_lose_nothing(store):
    """New processes: one with threads of its own, as a library may have started, is not forked."""
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(len(COINS))
    writers = [
        spawn.Process(target=_write_as_a_process, args=(store.root, coin, 5, together))
        for coin in COINS
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert versions(store) == dict.fromkeys(COINS, "1")
