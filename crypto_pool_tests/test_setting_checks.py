"""Values of settings that are refused, each with the way out."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest

from crypto_pool import setting_checks
from crypto_pool.domain.label_windows import purge_gap, review_days_needed, rows_needed
from crypto_pool.domain.performance import excess_p_value
from crypto_pool.domain.request_plans import RequestPlan, read_plan
from crypto_pool.domain.splits import walk_forward_folds
from crypto_pool.errors import UnscoredCandidate
from crypto_pool.settings import Settings, load_settings
from crypto_pool_tests.refused_settings import refused

pytestmark = pytest.mark.usefixtures("fresh_settings")


@pytest.mark.parametrize("horizon", [10, 33, 90])
def test_a_review_window_without_room_for_a_verdict_is_refused(monkeypatch, horizon):
    """The number named is the first with which the review finds five blocks that have matured."""
    enough = review_days_needed(horizon)
    today = pd.Timestamp("2024-06-30")
    for window in (enough - 1, enough):
        days = pd.date_range(
            today - pd.Timedelta(days=window - 1), today - pd.Timedelta(days=horizon)
        )
        excess = np.arange(len(days)) % 7 / 7
        is_told = excess_p_value(excess, days, purge_gap(horizon)) is not None
        assert is_told == (window == enough)
    terms = {"prediction_window_days": str(horizon), "training_rows": "5000"}
    said = refused(monkeypatch, **terms, review_window_days=str(enough - 1))
    assert f"CRYPTO_POOL_REVIEW_WINDOW_DAYS={enough - 1} never holds enough" in said
    assert f"{enough} does: raise it, or lower CRYPTO_POOL_PREDICTION_WINDOW_DAYS={horizon}" in said
    monkeypatch.setenv("CRYPTO_POOL_REVIEW_WINDOW_DAYS", str(enough))
    assert load_settings().review_window_days == enough


@pytest.mark.parametrize(
    "given",
    [
        {"prediction_window_days": "90"},
        {"review_window_days": "100"},
        {"training_rows": "100"},
        {"evaluation_policy": "purged_walk_forward", "prediction_window_days": "60"},
        {"dask_scheduler": "tcp://10.0.0.5:8786"},
        {"provider": "directory"},
    ],
    ids=lambda given: ",".join(given),
)
def test_a_value_that_does_not_go_with_the_default_of_another_is_refused(monkeypatch, given):
    assert "CRYPTO_POOL_" in refused(monkeypatch, **given)


def test_what_goes_together_is_looked_at_whether_given_or_not(monkeypatch):
    """A default that another release changes is held to the others, too."""
    monkeypatch.setattr(setting_checks, "review_days_needed", lambda horizon: 366)
    assert "CRYPTO_POOL_REVIEW_WINDOW_DAYS=365 never holds enough" in refused(monkeypatch)


@pytest.mark.parametrize("day", ["0001-01-01", "2008-12-31", "2100-01-01", "9999-12-31"])
def test_a_first_day_outside_the_years_of_bars_is_refused(monkeypatch, day):
    said = refused(monkeypatch, first_prediction_date=day)
    assert "CRYPTO_POOL_FIRST_PREDICTION_DATE: " in said
    assert day in said


@pytest.mark.parametrize("horizon", [10, 90])
def test_rows_too_few_for_the_folds_are_refused_with_the_number_that_is_enough(
    monkeypatch, horizon
):
    enough = rows_needed(horizon)
    index = pd.date_range("2020-01-01", periods=2 * enough)
    for rows in range(enough, 2 * enough):
        assert len(walk_forward_folds(index[:rows], horizon)) == 5
    with pytest.raises(UnscoredCandidate):
        walk_forward_folds(index[: enough - 6], horizon)
    terms = {"prediction_window_days": str(horizon), "review_window_days": "900"}
    said = refused(monkeypatch, **terms, training_rows=str(enough - 1))
    assert f"CRYPTO_POOL_TRAINING_ROWS={enough - 1} are too few" in said
    assert f"{enough} are enough" in said
    monkeypatch.setenv("CRYPTO_POOL_EVALUATION_POLICY", "holdout")
    assert load_settings().training_rows == enough - 1


@pytest.mark.parametrize(
    ("plan", "limits"),
    [
        ("free", RequestPlan(per_second=1, per_day=25)),
        ("5/minute,500/day", RequestPlan(per_minute=5, per_day=500)),
        ("2/second 75/minute", RequestPlan(per_second=2, per_minute=75)),
    ],
)
def test_a_plan_is_a_name_or_its_limits(plan, limits):
    assert read_plan(Settings(alpha_vantage_plan=plan).alpha_vantage_plan) == limits


@pytest.mark.parametrize("plan", ["gold", "5/hour", "5/minute,6/minute", "5", ""])
def test_what_is_no_plan_is_refused_with_the_plans_there_are(monkeypatch, plan):
    said = refused(monkeypatch, alpha_vantage_plan=plan)
    assert f"CRYPTO_POOL_ALPHA_VANTAGE_PLAN: '{plan}' is no plan: take free, premium_75" in said
    assert "or limits such as 5/minute,500/day" in said


def test_a_plan_that_allows_nothing_is_refused(monkeypatch):
    assert "per_day=0 allows nothing" in refused(monkeypatch, alpha_vantage_plan="0/day")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:8000", "https://", "http:// host", "nan", "http://[::1", "http://host:99999/"],
)
@pytest.mark.parametrize(
    "name", ["alpha_vantage_base_url", "page_url", "alert_webhook_url", "heartbeat_url"]
)
def test_what_is_no_address_is_refused_before_anything_is_asked_of_it(monkeypatch, name, address):
    said = refused(monkeypatch, **{name: address})
    assert f"CRYPTO_POOL_{name.upper()}: needs a value such as https://host/path" in said


@pytest.mark.parametrize(
    ("name", "value", "example"),
    [
        ("serving_rate_limit", "many", "600/minute"),
        ("serving_rate_limit", "0/minute", "600/minute"),
        ("serving_host", "", "127.0.0.1"),
        ("serving_allowed_hosts", "https://pool.example", "pool.example"),
        ("serving_allowed_hosts", "pool.example:8000", "pool.example"),
        ("quote_currency", "US D", "USDT"),
        ("dask_scheduler", "10.0.0.5", "tcp://10.0.0.5:8786"),
        ("daily_at_utc", "24:00", "00:20"),
    ],
)
def test_text_that_a_setting_cannot_mean_is_refused_with_an_example(
    monkeypatch, name, value, example
):
    said = refused(monkeypatch, **{name: value})
    assert f"CRYPTO_POOL_{name.upper()}: needs a value such as {example}" in said


@pytest.mark.parametrize("name", ["page_url", "parquet_root"])
def test_an_address_that_is_stored_holds_no_credentials(monkeypatch, name):
    said = refused(monkeypatch, **{name: "https://user:s3cret@host/x"})
    assert f"CRYPTO_POOL_{name.upper()} holds credentials" in said
    assert "s3cret" not in said


def test_each_number_has_bounds_that_dates_and_frames_can_take(monkeypatch):
    for name, field in Settings.model_fields.items():
        if {int, float} & {field.annotation, *get_args(field.annotation)}:
            for value in ("9" * 20, "inf", "nan", "-1"):
                said = refused(monkeypatch, **{name: value})
                assert f"CRYPTO_POOL_{name.upper()}: Input should be" in said
            monkeypatch.delenv(f"CRYPTO_POOL_{name.upper()}")


def test_a_seed_no_library_takes_is_refused(monkeypatch):
    assert "less than or equal to 2147483647" in refused(monkeypatch, seed=str(2**31))


def test_workers_elsewhere_need_state_they_reach(monkeypatch):
    remote = {"dask_scheduler": "tcp://10.0.0.5:8786", "parquet_root": "s3://bucket/parquet"}
    said = refused(monkeypatch, **remote)
    assert "CRYPTO_POOL_MLFLOW_BACKEND_URI" in said
    assert "CRYPTO_POOL_PARQUET_ROOT" not in said
    found = Settings(
        **remote,
        mlflow_backend_uri="postgresql://pool:secret@db.internal/mlflow",
        mlflow_artifact_root="s3://bucket/artifacts",
    )
    assert found.tracking_uri == "postgresql+psycopg2://pool:secret@db.internal/mlflow"
    assert found.artifact_root == "s3://bucket/artifacts"
    assert "secret" not in repr(found)


def test_workers_of_this_machine_share_its_state():
    found = Settings(dask_scheduler="tcp://127.0.0.1:8786")
    assert found.tracking_uri.startswith("sqlite:///")


def test_a_database_of_another_kind_is_refused(monkeypatch):
    said = refused(monkeypatch, mlflow_backend_uri="mysql://pool@db.internal/mlflow")
    assert "CRYPTO_POOL_MLFLOW_BACKEND_URI: needs a Postgres URI" in said
