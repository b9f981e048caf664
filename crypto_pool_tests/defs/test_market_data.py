"""The raw layer in a Dagster instance of its own: an exchange, and a past that changes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool_tests.conftest import ONE
from crypto_pool_tests.defs.refreshed import LAST, MARKET, Refreshed
from crypto_pool_tests.exchange_server import ExchangeSandbox, serve_exchange


def stored_bars(pool, symbol: str) -> pd.DataFrame:
    return FrameStore(str(pool.data / "parquet")).read("daily_bars", symbol)


@contextmanager
def open_exchange(new_pool, *coins: str) -> Iterator[tuple[ExchangeSandbox, object]]:
    sandbox = ExchangeSandbox(coins, today=LAST + timedelta(days=1), bars=MARKET.bars)
    with serve_exchange(sandbox) as url:
        yield (
            sandbox,
            new_pool(
                with_stores=True,
                symbols="AAA,EEE,GONE",
                provider="exchange",
                exchange_url=url,
                simulated_now=f"{LAST + timedelta(days=1)}T12:00:00",
            ),
        )


@pytest.fixture(scope="module")
def built(new_pool):
    """Two coins of an exchange, and one it lacks, built with one of the algorithms."""
    with open_exchange(new_pool, "AAA", "EEE") as (sandbox, pool):
        pool.first = pool.build_few(LAST, algorithms=ONE)
        pool.sandbox = sandbox
        yield pool


def test_an_exchange_is_built_end_to_end_and_a_coin_it_lacks_is_named(built):
    said = built.first.stdout + built.first.stderr
    assert "daily_bars [GONE]: UnknownSymbol: GONE: binance has no GONE/USDT" in said
    assert built.first.returncode == 1, said
    assert len(built.table("candidate_scores")) == 2 * 2 * len(ONE)
    predictions, champions = built.table("predictions"), built.table("champions")
    assert len(predictions) == 2 * 2 >= len(champions) > 0  # by the baseline where none passed
    assert predictions["synthetic"].all()
    pd.testing.assert_frame_equal(stored_bars(built, "AAA"), MARKET.bars("AAA", LAST))


def test_a_retired_coin_stays_queryable_when_its_day_is_forecast_again(built):
    before = built.table("predictions")
    assert set(before["symbol"]) == {"AAA", "EEE"}
    kept = {**built.settings}
    built.settings["symbols"] = "AAA"
    try:
        again = built.run("predict", "--date", LAST.isoformat())
        assert again.returncode == 0, again.stdout + again.stderr
    finally:
        built.settings.update(kept)
    members = ["symbol", "trend"]
    after = built.table("predictions")
    assert sorted(map(tuple, after[members].to_numpy())) == sorted(
        map(tuple, before[members].to_numpy())
    )
    for table in ("daily_bars", "feature_tables", "champions", "candidate_scores"):
        assert set(built.table(table)["symbol"]) == {"AAA", "EEE"}, table


def test_a_forecast_that_fails_on_a_rerun_leaves_the_earlier_row(built):
    def rows_of(symbol: str) -> pd.DataFrame:
        stored = FrameStore(str(built.data / "parquet")).read("daily_predictions", f"{LAST}")
        rows = stored.query("symbol == @symbol")
        return rows.sort_values("trend").reset_index(drop=True)

    hurt, unhurt = rows_of("EEE"), rows_of("AAA")
    needs_features = hurt["status"] != "baseline"
    assert needs_features.any()
    features = built.data / "parquet" / "feature_table" / "EEE.parquet"
    whole = features.read_bytes()
    features.write_bytes(whole[: len(whole) // 2])
    try:
        again = built.run("predict", "--date", LAST.isoformat())
    finally:
        features.write_bytes(whole)
    assert again.returncode == 1
    for trend in hurt["trend"][needs_features]:
        assert f"EEE_{trend}: CorruptPartition" in again.stdout + again.stderr
    left = rows_of("EEE")
    pd.testing.assert_frame_equal(left[needs_features], hurt[needs_features])
    new, old = left[~needs_features], hurt[~needs_features]
    stamps = ["dagster_run_id", "predicted_at_utc"]
    pd.testing.assert_frame_equal(new.drop(columns=stamps), old.drop(columns=stamps))
    assert (new["dagster_run_id"] != old["dagster_run_id"]).all()
    made_again = rows_of("AAA")
    assert list(made_again["trend"]) == list(unhurt["trend"])
    assert (made_again["dagster_run_id"] != unhurt["dagster_run_id"]).all()


def test_a_changed_past_is_refused_and_checked_and_taken_only_on_request(built):
    """The other coin gets its new day; the stored bars stay until the user says otherwise."""
    stored = stored_bars(built, "AAA")

    def redenominated(symbol: str, through: date) -> pd.DataFrame:
        bars = MARKET.bars(symbol, through)
        prices = ["open", "high", "low", "close"]
        return bars.assign(**{p: bars[p] * 1000 for p in prices}) if symbol == "AAA" else bars

    later = LAST + timedelta(days=1)
    built.sandbox.bars, built.sandbox.today = redenominated, later + timedelta(days=1)
    built.settings.update(symbols="AAA,EEE", simulated_now=f"{later + timedelta(days=1)}T12:00:00")
    refreshed = Refreshed(built)
    assert len(refreshed.failures) == 1
    assert "daily_bars [AAA]: HistoryChanged" in refreshed.failures[0]
    assert "crypto-pool restart-history AAA" in refreshed.failures[0]
    pd.testing.assert_frame_equal(stored_bars(built, "AAA"), stored)
    assert stored_bars(built, "EEE").index[-1] == pd.Timestamp(later)
    passed, told = refreshed.checks["steady_past"]
    assert not passed
    assert "1000 times" in told["AAA"]
    assert "EEE" not in told
    assert not refreshed.checks["recent"][0]
    assert refreshed.checks["sane_bars"][0]

    restarted = built.ask("restart-history", "aaa")
    assert restarted.returncode == 0, restarted.stderr
    refreshed = Refreshed(built)
    assert refreshed.failures == []
    for name in ("steady_past", "recent", "unbroken", "sane_bars", "sane_features"):
        assert refreshed.checks[name][0], refreshed.checks[name]
    pd.testing.assert_frame_equal(stored_bars(built, "AAA"), redenominated("AAA", later))


def test_restated_days_are_reported_and_the_stored_ones_stay(built):
    stored = stored_bars(built, "EEE")

    def restated(symbol: str, through: date) -> pd.DataFrame:
        bars = MARKET.bars(symbol, through)
        bars.iloc[100, bars.columns.get_loc("open")] *= 1.0005
        return bars.drop(bars.index[200])

    built.sandbox.bars = restated
    built.settings["symbols"] = "EEE"
    refreshed = Refreshed(built)
    assert refreshed.failures == []
    assert refreshed.made["EEE"]["joined"] == "restated"
    assert refreshed.checks["steady_past"] == [
        False,
        {"coins": "1", "EEE": "1 days restated, 1 days no longer given"},
    ]
    pd.testing.assert_frame_equal(stored_bars(built, "EEE"), stored)


def test_a_break_blocks_its_coin_until_it_is_accepted_and_a_retired_coin_is_left_alone(built):
    """The bars are stored, the other coin goes on, and each command is run as a user does."""
    day = stored_bars(built, "AAA").index[-1].date() + timedelta(days=1)
    level = stored_bars(built, "AAA")["close"].iloc[-1] / MARKET.bars("AAA", day)["close"].iloc[-2]

    def broken(symbol: str, through: date) -> pd.DataFrame:
        bars = MARKET.bars(symbol, through)
        if symbol == "AAA":
            prices = ["open", "high", "low", "close"]
            bars[prices] *= level
            bars.loc[pd.Timestamp(day) :, prices] *= 1000
        return bars

    built.sandbox.bars, built.sandbox.today = broken, day + timedelta(days=1)
    built.settings.update(symbols="AAA,EEE", simulated_now=f"{day + timedelta(days=1)}T12:00:00")
    refreshed = Refreshed(built)
    assert len(refreshed.failures) == 1
    assert f"BrokenHistory: AAA is blocked from {day} on" in refreshed.failures[0]
    assert stored_bars(built, "AAA").index[-1] == pd.Timestamp(day)
    assert not refreshed.checks["steady_past"][0]

    accepted = built.ask("accept-break", "aaa", day.isoformat())
    assert accepted.returncode == 0, accepted.stderr
    retired = built.ask("retire", "EEE", "--from", day.isoformat(), "--json")
    assert json.loads(retired.stdout) == {"symbol": "EEE", "retired_from": day.isoformat()}
    history = stored_bars(built, "EEE")
    asked = len(built.sandbox.requests)
    refreshed = Refreshed(built)
    assert refreshed.failures == []
    assert set(refreshed.made) == {"AAA"}
    assert refreshed.checks["recent"] == [True, {"coins": "1"}]
    assert len(built.sandbox.requests) > asked
    pd.testing.assert_frame_equal(stored_bars(built, "EEE"), history)
