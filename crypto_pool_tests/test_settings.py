"""Settings: their defaults, where they are read from, and what is said of a wrong one."""

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from crypto_pool.domain.request_plans import read_plan
from crypto_pool.errors import InvalidSetting
from crypto_pool.setting_checks import REMOVED
from crypto_pool.setting_groups import DEFAULT_SYMBOLS
from crypto_pool.settings import Settings, _warn, load_settings

pytestmark = pytest.mark.usefixtures("fresh_settings")


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


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        (
            "MLFLOW_BACKEND_URI",
            "mysql://pool:pass-word@db/mlflow",
            "postgresql://user@host/database",
        ),
        ("ALERT_WEBHOOK_URL", "hooks.example/pass-word", "https://host/path"),
        ("HEARTBEAT_URL", "hooks.example/pass-word", "https://host/path"),
    ],
)
def test_a_wrong_secret_is_not_shown(monkeypatch, name, value, wanted):
    monkeypatch.setenv(f"CRYPTO_POOL_{name}", value)
    with pytest.raises(InvalidSetting) as caught:
        load_settings()
    said = str(caught.value)
    assert f"CRYPTO_POOL_{name}" in said
    assert f"{wanted} (got a secret, not shown)" in said
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


def test_an_empty_home_is_no_home(monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")
    assert load_settings().dagster_home == Path("dagster_home")


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
