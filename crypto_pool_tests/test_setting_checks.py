"""Settings that are refused, each with the way out."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest

from crypto_pool import setting_checks
from crypto_pool.domain.label_windows import purge_gap, review_days_needed, rows_needed
from crypto_pool.domain.performance import excess_p_value
from crypto_pool.domain.request_plans import RequestPlan, read_plan
from crypto_pool.domain.splits import walk_forward_folds
from crypto_pool.errors import InvalidSetting, UnscoredCandidate
from crypto_pool.setting_groups import DEFAULT_SYMBOLS
from crypto_pool.settings import Settings, load_settings

pytestmark = pytest.mark.usefixtures("fresh_settings")


def refused(monkeypatch, **values):
    """What is said of these settings."""
    for name, value in values.items():
        monkeypatch.setenv(f"CRYPTO_POOL_{name.upper()}", value)
    load_settings.cache_clear()
    with pytest.raises(InvalidSetting) as caught:
        load_settings()
    return str(caught.value)


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


@pytest.mark.parametrize("source", ["environment", ".env", "pool.toml"])
def test_blanks_around_a_value_are_no_part_of_it(monkeypatch, tmp_path, source):
    values = {"alpha_vantage_api_key": "KEY", "series_type": "high", "quote_currency": "EUR"}
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    if source == "environment":
        for name, value in values.items():
            monkeypatch.setenv(f"CRYPTO_POOL_{name.upper()}", f" \t{value}\xa0\n")
    elif source == ".env":
        lines = [f"CRYPTO_POOL_{name.upper()}=' {value} '\n" for name, value in values.items()]
        (tmp_path / ".env").write_text("".join(lines))
    else:
        del values["alpha_vantage_api_key"]
        (tmp_path / "pool.toml").write_text(
            "".join(f'{name} = " {value}\\t"\n' for name, value in values.items())
        )
    held = load_settings()
    for name, value in values.items():
        found = getattr(held, name)
        assert (found if isinstance(found, str) else found.get_secret_value()) == value


def test_a_secret_of_blanks_is_none(monkeypatch):
    """It would be taken out of every text that is told."""
    monkeypatch.setenv("CRYPTO_POOL_ALPHA_VANTAGE_API_KEY", "  ")
    assert load_settings().alpha_vantage_api_key is None


@pytest.mark.parametrize("unseen", ["\x1b", "\u200b", "\u202e", "\udcff", "\n"])
@pytest.mark.parametrize("name", ["provider", "alpha_vantage_api_key", "serving_token", "seed"])
def test_a_letter_that_nobody_can_see_is_refused_by_name(monkeypatch, name, unseen):
    said = refused(monkeypatch, **{name: f"1{unseen}2"})
    assert f"CRYPTO_POOL_{name.upper()}: holds {unseen!a}, which cannot be seen" in said
    assert said.isascii()


def test_a_seed_no_library_takes_is_refused(monkeypatch):
    assert "less than or equal to 2147483647" in refused(monkeypatch, seed=str(2**31))


@pytest.mark.parametrize("source", ["environment", "file"])
def test_a_misspelt_setting_is_refused_with_the_nearest(monkeypatch, tmp_path, source):
    if source == "environment":
        monkeypatch.setenv("CRYPTO_POOL_SYMBOL", "BTC")
    else:
        (tmp_path / ".env").write_text("crypto_pool_symbol=BTC\n")
    said = refused(monkeypatch, seed="x", qwertz="1")
    assert "CRYPTO_POOL_SYMBOL: there is no such setting; did you mean CRYPTO_POOL_SYMBOLS?" in said
    assert "CRYPTO_POOL_QWERTZ: there is no such setting; docs/configuration.md lists all" in said
    assert "CRYPTO_POOL_SEED: " in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed = 1\nSeed = 2", "seed stands there in two spellings"),
        ("seed = true", "seed: needs another kind of value than true or false"),
        ("target_pct = true", "target_pct: needs another kind of value"),
    ],
)
def test_what_a_hand_wrote_in_two_ways_or_of_another_kind_is_refused(
    monkeypatch, tmp_path, text, says
):
    (tmp_path / "pool.toml").write_text(text)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert says in refused(monkeypatch)


def test_a_variable_in_two_spellings_is_refused(monkeypatch):
    monkeypatch.setenv("crypto_pool_seed", "8")
    assert "environment: crypto_pool_seed stands there in two" in refused(monkeypatch, seed="7")


def test_a_line_of_an_env_file_that_says_nothing_is_named_and_not_shown(
    monkeypatch, tmp_path, capfd
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / ".env").write_text("# mine\nexport CRYPTO_POOL_SEED=7\nA='s3cret\n\nB s3cret\n")
    said = refused(monkeypatch)
    for line in (3, 5):
        assert f"{tmp_path / '.env'}, line {line}: it is no NAME=value; write it so" in said
    assert "s3cret" not in said
    assert capfd.readouterr() == ("", "")


def test_a_pool_file_that_is_no_file_is_not_passed_over(monkeypatch, tmp_path):
    """Else a pool of the default coins would be built."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "pool.toml").symlink_to("gone.toml")
    assert "pool.toml is a folder or a link to nothing" in refused(monkeypatch)
    (tmp_path / "pool.toml").unlink()
    (tmp_path / "pool.toml").write_bytes("seed = 9\r\n".encode("utf-8-sig"))
    load_settings.cache_clear()
    assert load_settings().seed == 9


def test_variables_that_are_of_others_are_let_through(monkeypatch):
    """Of the tests, of a shell, and of a Kubernetes service that is named after the pool."""
    for name, value in {
        "CRYPTO_POOL_TEST_BROWSER": "chromium",
        "_CRYPTO_POOL_COMPLETE": "bash_source",
        "CRYPTO_POOL_COMPLETE": "bash_source",
        "CRYPTO_POOL_SERVICE_HOST": "10.0.0.1",
        "CRYPTO_POOL_SERVICE_PORT_GRPC": "3030",
        "CRYPTO_POOL_PORT": "tcp://10.0.0.1:3030",
        "CRYPTO_POOL_DAGSTER_WEBSERVER_PORT_80_TCP_ADDR": "10.0.0.2",
    }.items():
        monkeypatch.setenv(name, value)
    assert load_settings().symbols == DEFAULT_SYMBOLS
    assert "CRYPTO_POOL_SERVIN_PORT" in refused(monkeypatch, servin_port="8000")


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
