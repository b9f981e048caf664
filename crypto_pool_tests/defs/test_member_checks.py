"""What blocks the next step of a run, by real runs over stored rows."""

from datetime import date

import dagster as dg
import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.defs import member_checks
from crypto_pool.defs.assets.outcomes import prediction_outcomes, realised_performance
from crypto_pool.defs.assets.predictions import daily_predictions
from crypto_pool.defs.assets.publication import prediction_tables
from crypto_pool.defs.member_checks import OF_CHAMPIONS, sound_forecasts, sound_outcomes
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.members import Member
from crypto_pool.domain.staleness import MemberState, RetrainRules, judge_staleness
from crypto_pool.settings import load_settings

DAY = "2023-05-01"
ROW = {
    "symbol": "BTC",
    "trend": "uptrend",
    "probability": 0.4,
    "reference_probability": 0.3,
    "model_version": "1",
}


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("CRYPTO_POOL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CRYPTO_POOL_SIMULATED_NOW", "2023-05-12T12:00:00")
    load_settings.cache_clear()
    yield FrameStore(str(tmp_path / "parquet"))
    load_settings.cache_clear()


def run(check, asset, after):
    """Run an asset that leaves the store as it is, its check, and what comes after."""
    done = []

    @dg.asset(key=asset.key, partitions_def=asset.partitions_def)
    def made() -> None:
        pass

    @dg.asset(key=after.key, deps=[made])
    def next_step() -> None:
        done.append(True)

    with dg.DagsterInstance.ephemeral() as instance:
        job = dg.Definitions(
            assets=[made, next_step],
            asset_checks=[check],
            resources={"pool": PoolResource(bar_date="", only=[])},
        ).get_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": DAY,
                "dagster/asset_partition_range_end": DAY,
            },
        )
    return result, bool(done)


@pytest.mark.parametrize(("rows", "passes"), [([ROW], True), ([ROW, ROW], False)])
def test_a_day_with_two_rows_of_a_member_is_not_published(store, rows, passes):
    store.write("daily_predictions", DAY, pd.DataFrame(rows))
    result, went_on = run(sound_forecasts, daily_predictions, prediction_tables)
    found = [one.passed for one in result.get_asset_check_evaluations()]
    # A file that holds a member twice is damage, which ends the check that reads it.
    assert (found, went_on, result.success) == ([True] if passes else [], passes, passes)


@pytest.mark.parametrize(("probability", "passes"), [(0.4, True), (0.9, False)])
def test_nobody_is_judged_by_another_forecasts_outcome(store, probability, passes):
    store.write("daily_predictions", DAY, pd.DataFrame([ROW]))
    scored = {**ROW, "probability": probability, "outcome": 1.0}
    store.write("prediction_outcomes", DAY, pd.DataFrame([scored]))
    result, went_on = run(sound_outcomes, prediction_outcomes, realised_performance)
    assert (went_on, result.success) == (passes, passes)


@pytest.mark.parametrize(
    ("known", "serves"),
    [
        ({}, True),
        ({"has_champion": False}, False),
        ({"quarantine": "worse than the reference"}, False),
        ({"fault": "version 1 serves by the ledger and is gone from MLflow"}, False),
        ({"code_changed": True}, True),
    ],
)
def test_a_member_is_served_by_a_champion_that_can_speak(known, serves):
    state = MemberState(Member.parse("BTC_uptrend"), **{"has_champion": True, **known})
    judged = judge_staleness(state, date.fromisoformat(DAY), RetrainRules())
    _, urgencies = OF_CHAMPIONS["served"]
    assert (judged is None or not judged.because_of(urgencies)) == serves


def test_only_what_makes_the_next_step_wrong_blocks():
    blocking = {
        (spec.asset_key.to_user_string(), spec.name)
        for check in dg.load_asset_checks_from_modules([member_checks])
        for spec in check.check_specs
        if spec.blocking
    }
    assert blocking == {("daily_predictions", "sound"), ("prediction_outcomes", "sound")}
