"""A home of a pool's own: what `new` and `demo` write, and that every process reads it."""

import json
import os
import shutil
import subprocess
import sys
from datetime import date

import pandas as pd
import pytest
from typer.testing import CliRunner

from crypto_pool import __version__
from crypto_pool.building import open_instance
from crypto_pool.cli import app
from crypto_pool.commands.exit_codes import exit_code
from crypto_pool.errors import ExitCode, InvalidSetting
from crypto_pool.home import DAGSTER_YAML, prepare_home, render_pool_file, write_pool_file
from crypto_pool.settings import Settings, load_settings

BARS = pd.DataFrame(
    {name: range(1, 6) for name in ("open", "high", "low", "close", "volume")},
    index=pd.date_range("2021-01-01", periods=5, name="date"),
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in a folder of its own, without a pool in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def invoke(*arguments):
        load_settings.cache_clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAGSTER_HOME", "")  # what --home sets is taken back
            answer = CliRunner().invoke(app, [str(one) for one in arguments])
        if answer.exception is not None and not isinstance(answer.exception, SystemExit):
            raise answer.exception
        return answer.output

    yield invoke
    load_settings.cache_clear()


@pytest.fixture
def bars(tmp_path):
    folder = tmp_path / "my_bars"
    folder.mkdir()
    for symbol in ("BTC", "ETH"):
        BARS.to_csv(folder / f"{symbol}.csv")
    return folder


def settings_of(run, *arguments):
    said = json.loads(run(*arguments, "settings", "--json"))
    return {row["setting"]: (row["value"], row["from"]) for row in said["settings"]}


def test_new_makes_a_home_that_the_option_chooses(run, bars, tmp_path):
    run("new", "my_pool", "--provider", "directory", "--bars", "my_bars", "--symbols", "btc")
    file = tmp_path / "my_pool" / "pool.toml"
    assert (tmp_path / "my_pool" / "dagster.yaml").exists()
    assert "# Coins of the pool.\nsymbols" in file.read_text()
    held = settings_of(run, "--home", "my_pool")
    assert held["symbols"] == (["BTC"], "my_pool/pool.toml")
    assert held["market_data_dir"] == (str(bars), "my_pool/pool.toml")
    assert held["first_prediction_date"][0] == "2021-05-01"
    assert held["seed"] == (7, "default")
    assert settings_of(run)["symbols"][1] == "default"


def test_a_home_that_was_removed_is_made_again_from_the_package(tmp_path):
    assert not DAGSTER_YAML.is_symlink()
    prepare_home(tmp_path / "dagster_home")
    shutil.rmtree(tmp_path / "dagster_home")
    made = prepare_home(tmp_path / "dagster_home") / DAGSTER_YAML.name
    assert made.read_text() == DAGSTER_YAML.read_text()
    assert not made.is_symlink()
    made.write_text("")  # of which Dagster makes its own defaults, telemetry among them
    prepare_home(tmp_path / "dagster_home")
    assert made.read_text() == DAGSTER_YAML.read_text()


@pytest.mark.parametrize("part", ["", "history/runs.db", "data/mlflow/mlflow.db"])
def test_a_home_that_this_user_may_not_write_is_named(tmp_path, monkeypatch, part):
    prepare_home(tmp_path)
    (tmp_path / "history").mkdir()
    (tmp_path / "data" / "mlflow").mkdir(parents=True)
    (tmp_path / part).touch()
    another = str((tmp_path / part).resolve())
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != another)  # who is root may
    with pytest.raises(PermissionError, match="this user may not write it") as refused:
        prepare_home(tmp_path)
    assert refused.value.filename == another
    assert exit_code(refused.value) == ExitCode.STORAGE


@pytest.mark.parametrize("text", ["{{{", "no_such_key: 1"])
def test_a_dagster_yaml_that_dagster_refuses_is_named(tmp_path, text):
    (tmp_path / DAGSTER_YAML.name).write_text(text)
    with pytest.raises(InvalidSetting, match=r"dagster\.yaml is not as Dagster wants it"):
        open_instance(Settings(_env_file=None, dagster_home=tmp_path))


@pytest.mark.parametrize("place", ["", "home"])
def test_an_env_file_that_is_no_text_is_named(run, tmp_path, place):
    (tmp_path / "home").mkdir()
    (tmp_path / place / ".env").write_bytes(b"CRYPTO_POOL_SYMBOLS=BTC # \xe4\n")
    with pytest.raises(InvalidSetting, match=r"\.env is not UTF-8"):
        run("--home", tmp_path / "home", "settings")


def test_the_coins_of_a_folder_are_those_with_a_file(run, bars):
    run("new", "my_pool", "--bars", bars)
    assert settings_of(run, "--home", "my_pool")["symbols"][0] == ["BTC", "ETH"]


def test_a_file_of_no_bars_is_named_and_left_out_unless_it_was_asked_for(run, bars, tmp_path):
    (bars / "ADA.csv").write_text("")
    (bars / "ETH-USD.csv").write_text((bars / "ETH.csv").read_text())
    (bars / "README.txt").write_text("My bars.")
    said = run("new", "my_pool", "--bars", bars)
    assert said.count("Left out: ") == 3
    for fault in ("ADA.csv is empty", "'ETH-USD' is no symbol", "README.txt, line 1"):
        assert fault in said
    assert settings_of(run, "--home", "my_pool")["symbols"][0] == ["BTC", "ETH"]
    with pytest.raises(InvalidSetting, match=r"(?s)ADA\.csv is empty.*no XRP\.csv"):
        run("new", "other_pool", "--bars", bars, "--symbols", "BTC,ADA,XRP")
    assert not (tmp_path / "other_pool").exists()


def test_a_wrong_option_or_a_home_that_is_there_is_refused_with_nothing_written(run, tmp_path):
    with pytest.raises(InvalidSetting, match="needs CRYPTO_POOL_MARKET_DATA_DIR"):
        run("new", "my_pool", "--provider", "directory")
    assert not (tmp_path / "my_pool").exists()
    run("new", "my_pool")
    with pytest.raises(InvalidSetting, match="is there already"):
        run("new", "my_pool")


def test_the_environment_wins_over_env_files_and_they_over_the_pool_file(
    run, tmp_path, monkeypatch
):
    (tmp_path / "pool.toml").write_text("seed = 1\nworkers = 3\ntime_period = 9\n")
    (tmp_path / ".env").write_text("CRYPTO_POOL_SEED=2\nCRYPTO_POOL_WORKERS=4\n")
    monkeypatch.setenv("CRYPTO_POOL_SEED", "5")
    held = settings_of(run, "--home", ".")
    assert held["seed"] == (5, "environment")
    assert held["workers"] == (4, ".env")
    assert held["time_period"] == (9, "pool.toml")


def test_an_earlier_home_without_a_pool_file_is_configured_by_its_env_file(run, tmp_path):
    home = tmp_path / "old"
    home.mkdir()
    (home / ".env").write_text("CRYPTO_POOL_SYMBOLS=XTZ\nCRYPTO_POOL_SERVING_TOKEN=s3cret\n")
    held = settings_of(run, "--home", home)
    assert held["symbols"] == (["XTZ"], str(home / ".env"))
    assert held["serving_token"][0] == "**********"


def test_a_relative_path_in_the_file_begins_at_the_home(run, tmp_path):
    home = tmp_path / "there"
    home.mkdir()
    (home / "pool.toml").write_text(
        'market_data_dir = "../bars"\nparquet_root = "s3://bucket/p"\ndata_dir = "state"\n'
    )
    held = settings_of(run, "--home", "there")
    assert held["market_data_dir"][0] == str(tmp_path / "bars")
    assert held["data_dir"][0] == str(home / "state")
    assert held["parquet_root"][0] == "s3://bucket/p"


def test_a_tilde_is_the_users_folder_in_the_file_as_in_the_environment(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (tmp_path / "pool.toml").write_text('data_dir = "~/state"\nparquet_root = "~/frames"\n')
    held = settings_of(run, "--home", tmp_path)
    assert held["data_dir"][0] == str(tmp_path / "me" / "state")
    assert held["parquet_root"][0] == str(tmp_path / "me" / "frames")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("symbol = 1", "there is no setting symbol; did you mean symbols?"),
        ("CRYPTO_POOL_SEED = 1", "there is no setting CRYPTO_POOL_SEED; did you mean seed?"),
        ("[training]\nseed = 1", "there is no setting training; did you mean"),
        ('serving_token = "x"', "serving_token is a secret; give it as CRYPTO_POOL_SERVING_TOKEN"),
        (
            'heartbeat_url = "https://x/y"',
            "heartbeat_url is a secret; give it as CRYPTO_POOL_HEART",
        ),
        ('dagster_home = "x"', "take dagster_home out of it"),
        ("seed = -1", "pool.toml: seed: Input should be greater than or equal to 0 (got -1)"),
        ("seed = ", "pool.toml is not TOML: Invalid value (at "),
    ],
)
def test_a_fault_in_the_file_is_named_with_the_file_and_the_way_out(run, tmp_path, text, said):
    (tmp_path / "pool.toml").write_text(text + "\n")
    with pytest.raises(InvalidSetting) as caught:
        run("--home", tmp_path, "settings")
    assert said in str(caught.value)
    assert str(tmp_path / "pool.toml") in str(caught.value)


def test_a_home_given_as_an_argument_is_read_from(tmp_path):
    (tmp_path / "pool.toml").write_text("seed = 5\n")
    assert Settings(dagster_home=tmp_path).seed == 5


def test_dagster_and_the_server_are_of_the_same_coins(run, bars, tmp_path):
    run("new", "my_pool", "--bars", bars, "--symbols", "ETH")
    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            "from crypto_pool.defs import partitions as p;"
            "from crypto_pool.serving.app import create_app;"
            "from crypto_pool.settings import load_settings;"
            "create_app(load_settings());"
            "print(p.symbols.get_partition_keys(), p.days.get_first_partition_key())",
        ],
        env={"DAGSTER_HOME": "my_pool", "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "['ETH'] 2021-05-01\n"


def test_a_file_is_written_anew_until_somebody_has_changed_it(tmp_path):
    values = {"symbols": ("BTC",), "first_prediction_date": date(2024, 1, 2), "seed": 3}
    assert write_pool_file(tmp_path, values)
    assert write_pool_file(tmp_path, {**values, "symbols": ("ETH",)})
    file = tmp_path / "pool.toml"
    assert 'symbols = ["ETH"]\n' in file.read_text()
    file.write_text(file.read_text() + "workers = 1\n")
    assert not write_pool_file(tmp_path, values)
    assert file.read_text().endswith("workers = 1\n")
    assert "first_prediction_date = 2024-01-02\n" in render_pool_file(values)


def test_the_version_is_said_and_no_help_speaks_of_types_of_flags(run):
    assert run("--version") == f"crypto-pool {__version__}\n"
    for command in ("", "query", "status", "build"):
        said = run(*command.split(), "--help")
        assert "bool" not in said
        assert "..." not in said.replace("[ARGS]...", "")
