"""The schedule and the sensors: what they ask for, when, and that a life by them loses nothing."""

import json
from datetime import UTC, datetime

import dagster as dg
import pytest

from crypto_pool.defs.assets.predictions import daily_predictions
from crypto_pool.defs.assets.raw import daily_bars
from crypto_pool.defs.freshness import MARGIN
from crypto_pool.defs.requests import day_requests, training_request
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.sensors import attempts_due, catch_up
from crypto_pool.domain.members import Member
from crypto_pool.settings import Settings, load_settings
from crypto_pool.workflow.day_plan import DayPlan
from crypto_pool_tests.conftest import PoolFolder
from drills.forty_days import Plan, run

QUICK = {"SYMBOLS": "BTC", "EVALUATION_POLICY": "holdout"}
SWITCHES = """
import json
from crypto_pool.definitions import defs
repository = defs.get_repository_def()
schedule = repository.get_schedule_def("daily_features")
switched = [schedule, *(repository.get_sensor_def(n) for n in ("retrain_stale", "catch_up"))]
print(json.dumps([schedule.cron_schedule, schedule.execution_timezone,
                  *(one.default_status.value for one in switched)]))
"""


def test_bars_and_forecasts_are_due_two_hours_after_the_daily_run():
    assert Settings(daily_at_utc="23:30").daily_cron(MARGIN) == "30 1 * * *"
    for asset in (daily_bars, daily_predictions):
        policy = asset.specs_by_key[asset.key].freshness_policy
        assert (policy.deadline_cron, policy.lower_bound_delta) == ("20 2 * * *", MARGIN)


def switches(home, **settings):
    said = PoolFolder(home, settings).run_code(SWITCHES)
    return json.loads(said.stdout.splitlines()[-1])


def test_all_is_off_until_the_settings_say_otherwise(tmp_path):
    assert switches(tmp_path) == ["20 0 * * *", "UTC", "STOPPED", "STOPPED", "STOPPED"]


def test_the_daily_run_is_at_the_time_of_the_settings(tmp_path):
    on = switches(tmp_path, automation_on="true", daily_at_utc="06:05")
    assert on == ["5 6 * * *", "UTC", "RUNNING", "RUNNING", "RUNNING"]


@pytest.mark.parametrize(
    ("clock", "attempts"),
    [("00:20", 0), ("01:19", 0), ("01:20", 1), ("02:19", 1), ("02:20", 2), ("04:20", 3),
     ("08:20", 4), ("16:20", 5), ("23:59", 5)],
)  # fmt: skip
def test_a_day_is_tried_again_less_and_less_often(clock, attempts):
    moment = datetime.fromisoformat(f"2023-05-02T{clock}").replace(tzinfo=UTC)
    assert attempts_due(Settings(simulated_now=moment, daily_at_utc="00:20")) == attempts


@pytest.mark.parametrize(
    ("daily_at_utc", "moment", "attempts", "through"),
    [
        ("23:00", "2023-05-02T23:59", 0, "2023-05-01"),
        ("23:00", "2023-05-03T00:00", 1, "2023-05-01"),
        ("23:00", "2023-05-03T15:00", 5, "2023-05-01"),
        ("18:00", "2023-05-03T09:59", 4, "2023-05-01"),
        ("18:00", "2023-05-03T10:00", 5, "2023-05-01"),
        ("18:00", "2023-05-03T18:00", 0, "2023-05-02"),
    ],
)
def test_what_a_late_daily_run_could_not_do_is_tried_again_after_midnight(
    daily_at_utc, moment, attempts, through, tmp_path, monkeypatch
):
    monkeypatch.setenv("CRYPTO_POOL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CRYPTO_POOL_DAILY_AT_UTC", daily_at_utc)
    monkeypatch.setenv("CRYPTO_POOL_SIMULATED_NOW", moment)
    load_settings.cache_clear()
    try:
        assert attempts_due(load_settings()) == attempts
        resources = {"pool": PoolResource(bar_date="", only=[])}
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(instance, resources=resources)
            asked = catch_up.evaluate_tick(context).run_requests or []
    finally:
        load_settings.cache_clear()
    stages = ("features", "forecasts") if attempts else ()
    assert [request.run_key for request in asked] == [
        f"catch_up:{through}:{attempts}:{stage}" for stage in stages
    ]


@pytest.fixture
def pool():
    return PoolResource(bar_date="", only=[])


def test_stale_members_that_are_no_rectangle_are_one_run_over_exactly_them(pool):
    members = [Member.parse(name) for name in ("ETH_downtrend", "BTC_uptrend")]
    request = training_request(pool, members, "retrain_stale", "today")
    config = request.run_config["resources"]["pool"]["config"]
    assert config["only"] == ["ETH|downtrend", "BTC|uptrend"]
    start, end = (
        request.tags[f"dagster/asset_partition_range_{side}"] for side in ("start", "end")
    )
    assert (start, end) == ("BTC|uptrend", "ETH|downtrend")


def test_every_schedule_and_sensor_shows_jobs_of_its_own():
    """A run of Dagster's own job of all assets is shown as jobless."""
    from crypto_pool.definitions import defs

    repository = defs.get_repository_def()
    own = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    targets = {one.name: {one.job_name} for one in repository.schedule_defs}
    for sensor in repository.sensor_defs:
        targets[sensor.name] = {target.job_name for target in sensor.targets}
    assert targets["catch_up"] == {"refresh_features", "score_days", "predict_day"}
    assert set().union(*targets.values()) <= own


def test_the_stages_of_a_day_follow_each_other_also_over_midnight(tmp_path):
    code = (
        "import json; from crypto_pool.defs.schedules import schedules;"
        "print(json.dumps({one.name: one.cron_schedule for one in schedules}))"
    )
    said = PoolFolder(tmp_path, {"daily_at_utc": "23:59"}).run_code(code)
    assert json.loads(said.stdout.splitlines()[-1]) == {
        "daily_features": "59 23 * * *",
        "daily_outcomes": "0 0 * * *",
        "daily_pool": "1 0 * * *",
        "daily_panel": "29 0 * * *",
    }


def days(*numbers):
    return tuple(datetime(2023, 5, number).date() for number in numbers)


def test_what_is_pending_is_pulled_scored_and_forecast_in_this_order(pool):
    plan = DayPlan(
        behind=("ETH",),
        forecast=dict.fromkeys(days(3, 5), frozenset({"BTC_uptrend"})),
        score=days(1),
    )
    requests = day_requests(pool, plan, "daily_pool", "2023-05-05")
    assert [request.job_name for request in requests] == [
        "refresh_features",
        "score_days",
        "predict_day",
    ]
    assets = [{key.to_user_string() for key in request.asset_selection} for request in requests]
    assert assets == [
        {"daily_bars", "raw_indicators", "feature_table", "panel_forecasts"},
        {"prediction_outcomes", "realised_performance"},
        {"daily_predictions", "prediction_tables"},
    ]
    priorities = [int(request.tags["dagster/priority"]) for request in requests]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == 3
    only = [request.run_config["resources"]["pool"]["config"]["only"] for request in requests]
    assert only == [["ETH"], ["2023-05-01"], ["2023-05-03", "2023-05-05"]]


def test_outcomes_alone_are_published_too(pool):
    plan = DayPlan(behind=(), forecast={}, score=days(1))
    *_, last = day_requests(pool, plan, "catch_up", "x")
    assert [key.to_user_string() for key in last.asset_selection] == ["prediction_tables"]


def test_no_day_fails_because_mlflow_takes_no_fit_of_the_panel(tmp_path, monkeypatch):
    from crypto_pool.defs.assets.panel_model import panel_model
    from crypto_pool.errors import ModelUnavailable

    def refuses(*_):
        raise ModelUnavailable("MLflow's disk is full")

    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr("crypto_pool.workflow.panel_models.log_missing_fits", refuses)
    load_settings.cache_clear()
    with dg.DagsterInstance.ephemeral() as instance:
        made = dg.materialize(
            [panel_model],
            instance=instance,
            resources={"pool": PoolResource(bar_date="", only=[])},
        )
    load_settings.cache_clear()
    (check,) = made.get_asset_check_evaluations()
    assert made.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "ModelUnavailable: MLflow's disk is full"


@pytest.mark.long
def test_a_life_with_an_outage_and_a_killed_worker_loses_nothing():
    found = run(
        Plan(
            days=4,
            outages={"1": "quota"},
            kills={"2": "worker"},
            real=False,
            settings=QUICK,
        )
    )
    assert found["killed"] == {"worker": 1}
    assert found["days_of_predictions"] == 4
    left = ("gaps", "duplicates", "unfinished_runs", "slots_held", "mlflow_running")
    assert {name: found[name] for name in left} == dict.fromkeys(left, 0)
    assert found["training_runs"] == 1
    assert found["decisions"] == 2
    assert set(found["checks"]) >= {"served", "recent", "undrifted", "fresh", "covered", "sound"}
    # One initial try, the killed one, and again after the outage and after the kill.
    assert found["asked_for"]["forecasts"] >= 5


@pytest.mark.campaign
def test_a_real_life_bears_a_killed_daemon():
    found = run(Plan(days=2, outages={}, kills={"1": "daemon"}, settings=QUICK))
    assert found["killed"] == {"daemon": 1}
    assert found["services_begun_again"] == 1
    assert found["runs_made_again"] <= 1
    assert found["days_of_predictions"] == 2
    # Each day both trends of the coin, by the champion or by the baseline in its place.
    assert found["predictions"] == 2 * 2
    assert found["members_with_champion"] > 0
    left = ("gaps", "duplicates", "unfinished_runs", "slots_held", "mlflow_running")
    assert {name: found[name] for name in left} == dict.fromkeys(left, 0)
