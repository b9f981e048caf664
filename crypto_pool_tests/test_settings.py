from datetime import UTC, date, datetime
from typing import get_args

import pytest

from crypto_pool.errors import InvalidSetting
from crypto_pool.setting_groups import DEFAULT_SYMBOLS
from crypto_pool.settings import Settings, load_settings


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
    assert {"abstain_beyond_widths", "keep_runs_days", "sandbox_url"} <= set(optional)
    assert [name for name in optional if getattr(settings, name) is not None] == []


def test_directory_without_a_folder_names_the_setting(monkeypatch):
    monkeypatch.setenv("CRYPTO_POOL_PROVIDER", "directory")
    with pytest.raises(InvalidSetting, match="CRYPTO_POOL_MARKET_DATA_DIR"):
        load_settings()


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
