import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from crypto_pool import setting_checks
from crypto_pool.domain.label_windows import purge_gap, review_days_needed, rows_needed
from crypto_pool.domain.performance import excess_p_value
from crypto_pool.domain.request_plans import RequestPlan, read_plan
from crypto_pool.domain.splits import walk_forward_folds
from crypto_pool.errors import InvalidSetting, UnscoredCandidate
from crypto_pool.setting_checks import REMOVED
from crypto_pool.setting_groups import DEFAULT_SYMBOLS
from crypto_pool.settings import Settings, _warn, load_settings


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_defaults_are_those_of_the_pool():
    settings = load_settings()
    assert settings.symbols == DEFAULT_SYMBOLS
    assert len(DEFAULT_SYMBOLS) == 20
    assert (settings.time_period, settings.series_type) == (7, "close")
    assert (settings.prediction_window_days, settings.target_pct) == (10, 0.05)
    assert settings.first_prediction_date == date(2018, 1, 1)


def test_every_fault_is_listed_in_one_message(monkeypatch):
    monkeypatch.setenv("CRYPTO_POOL_PREDICTION_WINDOW_DAYS", "3")
    monkeypatch.setenv("CRYPTO_POOL_TARGET_PCT", "five")
    monkeypatch.setenv("CRYPTO_POOL_SYMBOLS", "BTC,BTC")
    with pytest.raises(InvalidSetting) as caught:
        load_settings()
    for name in ("PREDICTION_WINDOW_DAYS", "TARGET_PCT", "SYMBOLS"):
        assert f"CRYPTO_POOL_{name}" in str(caught.value)
    assert "'five'" in str(caught.value)
    assert "CRYPTO_POOL_SYMBOLS: needs distinct alphanumeric symbols" in str(caught.value)


def test_a_wrong_secret_is_not_shown(monkeypatch):
    monkeypatch.setenv("CRYPTO_POOL_MLFLOW_BACKEND_URI", "mysql://pool:pass-word@db/mlflow")
    with pytest.raises(InvalidSetting) as caught:
        load_settings()
    said = str(caught.value)
    assert "CRYPTO_POOL_MLFLOW_BACKEND_URI" in said
    assert "postgresql://user@host/database (got a secret, not shown)" in said
    assert "pass-word" not in said


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_each_spelling_of_postgres_names_the_driver(scheme):
    found = Settings(mlflow_backend_uri=f"{scheme}://pool:pass-word@db/mlflow")
    assert found.tracking_uri == "postgresql+psycopg2://pool:pass-word@db/mlflow"


def test_an_empty_value_takes_back_every_setting_that_may_be_unset(monkeypatch):
    optional = [
        name
        for name, field in Settings.model_fields.items()
        if type(None) in get_args(field.annotation)
    ]
    for name in optional:
        monkeypatch.setenv(f"CRYPTO_POOL_{name.upper()}", "")
    settings = load_settings()
    assert {"abstain_beyond_widths", "keep_runs_days"} <= set(optional)
    assert [name for name in optional if getattr(settings, name) is not None] == []


def test_directory_without_a_folder_names_the_setting(monkeypatch):
    monkeypatch.setenv("CRYPTO_POOL_PROVIDER", "directory")
    with pytest.raises(InvalidSetting) as caught:
        load_settings()
    assert str(caught.value).splitlines()[1:] == [
        "  settings: the directory provider needs CRYPTO_POOL_MARKET_DATA_DIR, "
        "a folder of SYMBOL.csv"
    ]


def test_env_file_is_read_and_the_environment_wins(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("CRYPTO_POOL_SYMBOLS=eth, btc\nCRYPTO_POOL_SEED=11\n")
    monkeypatch.setenv("CRYPTO_POOL_SEED", "12")
    settings = load_settings()
    assert settings.symbols == ("ETH", "BTC")
    assert settings.seed == 12


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().seed = 3


def test_the_running_day_is_not_closed(monkeypatch):
    monkeypatch.setenv("CRYPTO_POOL_SIMULATED_NOW", "2024-03-01T23:59:59Z")
    assert load_settings().last_closed() == date(2024, 2, 29)


def test_a_clock_file_is_read_whenever_the_time_is_asked_for(monkeypatch, tmp_path):
    clock = tmp_path / "clock"
    monkeypatch.setenv("CRYPTO_POOL_SIMULATED_NOW_FILE", str(clock))
    settings = load_settings()
    assert settings.is_clock_simulated
    for day in (2, 3):
        clock.write_text(f"2024-03-0{day}T00:20:00\n")
        assert settings.now() == datetime(2024, 3, day, 0, 20, tzinfo=UTC)
    clock.write_text("tomorrow")
    with pytest.raises(InvalidSetting, match=r"CRYPTO_POOL_SIMULATED_NOW_FILE: .*clock must hold"):
        settings.now()


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


@pytest.mark.parametrize("name", ["alpha_vantage_base_url", "exchange_url", "sandbox_url"])
def test_an_address_without_a_scheme_is_refused(monkeypatch, name):
    said = refused(monkeypatch, **{name: "127.0.0.1:8000"})
    assert f"CRYPTO_POOL_{name.upper()}: String should match pattern '^https?://'" in said


def test_a_seed_no_library_takes_is_refused(monkeypatch):
    assert "less than or equal to 2147483647" in refused(monkeypatch, seed=str(2**31))


def test_an_empty_home_is_no_home(monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")
    assert load_settings().dagster_home == Path("dagster_home")


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


def test_case_31_one_rule_says_what_a_symbol_is(monkeypatch):
    monkeypatch.setenv("CRYPTO_POOL_SYMBOLS", "币安人生,1inch")
    assert load_settings().symbols == ("币安人生", "1INCH")
    load_settings.cache_clear()
    monkeypatch.setenv("CRYPTO_POOL_SYMBOLS", "BTC.D")
    with pytest.raises(InvalidSetting, match=r"'BTC\.D' is no symbol, '\.' is neither letter nor"):
        load_settings()


@pytest.mark.parametrize(
    "name", ["a%20b", "what?pool", "Pool e 100% #1", "back\\slash", os.fsdecode(b"l\xe4tin")]
)
def test_a_home_whose_name_addresses_read_otherwise_is_refused_by_name(tmp_path, name):
    with pytest.raises(ValidationError, match="is read otherwise in addresses of files"):
        Settings(_env_file=None, dagster_home=tmp_path / name)
    with pytest.raises(ValidationError, match="CRYPTO_POOL_DATA_DIR"):
        Settings(_env_file=None, data_dir=tmp_path / name)
    for right in (
        "a home",
        "it's",
        'a "home"',
        "a;b",
        "new\nline",
        "trailing ",
        "üml\N{GRINNING FACE}",
    ):
        assert Settings(_env_file=None, dagster_home=tmp_path / right).state_dir.name == "data"


def test_a_home_that_is_no_folder_is_refused_by_name(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("file", "file/below", "loop", "loop/below"):
        with pytest.raises(ValidationError, match="is no folder; choose another, or move it away"):
            Settings(_env_file=None, dagster_home=tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / "not yet")
    (tmp_path / "right").symlink_to(tmp_path)
    for name in ("right", "right/below", "link"):
        assert Settings(_env_file=None, dagster_home=tmp_path / name).dagster_home.name


def test_paths_are_read_as_a_shell_has_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = Settings(
        _env_file=None, dagster_home="~/pool", parquet_root="~/frames", market_data_dir="~/bars"
    )
    assert settings.state_dir == tmp_path.resolve() / "pool" / "data"
    assert settings.frames_root == str(tmp_path / "frames")
    assert settings.market_data_dir == tmp_path / "bars"


def test_the_environment_of_keras_and_jax_is_the_pool_s_own():
    code = "import crypto_pool, os; print(os.environ['KERAS_BACKEND'], os.environ['JAX_PLATFORMS'])"
    given = {**os.environ, "KERAS_BACKEND": "tensorflow", "JAX_PLATFORMS": "cuda"}
    said = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True)
    assert said.stdout == "jax cpu\n"


@pytest.mark.parametrize("place", ["environment", ".env", "pool.toml"])
def test_a_removed_setting_opens_and_is_told_of_once_in_one_line(
    monkeypatch, tmp_path, caplog, place
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    old = {"promotion_margin": 0.001, "keep_publications": 5, "interval": "daily"}
    old |= {"alpha_vantage_plan": "custom", "alpha_vantage_per_day": 500, "refresh_after_days": 40}
    if place == "environment":
        for name, value in old.items():
            monkeypatch.setenv(f"CRYPTO_POOL_{name.upper()}", str(value))
    elif place == ".env":
        lines = [f"CRYPTO_POOL_{name.upper()}={value}\n" for name, value in old.items()]
        (tmp_path / ".env").write_text("".join(lines))
    else:
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in old.items()]
        (tmp_path / "pool.toml").write_text("".join(lines))
    _warn.cache_clear()
    for _ in range(2):
        load_settings.cache_clear()
        settings = load_settings()
    assert settings.refresh_after_days == 40
    assert read_plan(settings.alpha_vantage_plan).per_day is not None
    [line] = [record.getMessage() for record in caplog.records]
    assert line == (
        "These settings no longer exist and change nothing: "
        "interval (bars are daily), "
        "alpha_vantage_per_day (write the limit into alpha_vantage_plan), "
        "promotion_margin (the interval of the difference decides), "
        "keep_publications (it is 3)"
    )


def test_what_was_removed_is_no_setting():
    assert not REMOVED.keys() & Settings.model_fields.keys()
