"""What a command prints of its result, and what it says where there is none."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.building import BuildReport
from crypto_pool.cli import app
from crypto_pool.commands import build, champions
from crypto_pool.commands.exit_codes import ExitCode, exit_code
from crypto_pool.domain.market import Member, Trend
from crypto_pool.errors import ModelUnavailable
from crypto_pool.settings import load_settings

MEMBER = {"symbol": "BTC", "trend": "uptrend"}
FORECASTS = pd.DataFrame(
    [
        {**MEMBER, "prediction_date": day, "probability": probability}
        for day, probability in (("2021-11-29", 0.25), ("2021-11-30", 0.75))
    ]
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command on what is published; layers of the graph are not run."""
    monkeypatch.setenv("CRYPTO_POOL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CRYPTO_POOL_SYMBOLS", "BTC")
    monkeypatch.setattr(build, "_run", lambda *_: BuildReport())
    load_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(app, list(arguments))
    load_settings.cache_clear()


def test_the_forecasts_shown_are_those_of_the_day_asked_for(run, tmp_path):
    publish(tmp_path, {"predictions": FORECASTS, "champions": pd.DataFrame([MEMBER])})
    for command in ("predict", "build"):
        said = run(command, "--date", "2021-11-29").stdout
        assert "0.250" in said
        assert "0.750" not in said
    (row,) = json.loads(run("predict", "--date", "2021-11-29", "--json").stdout)["predictions"]
    assert row["probability"] == 0.25


def test_a_day_without_a_forecast_is_said_in_one_line(run, tmp_path):
    publish(tmp_path, {"predictions": FORECASTS, "champions": pd.DataFrame([MEMBER])})
    said = run("predict", "--date", "2021-11-28")
    assert said.stdout == "No forecast for 2021-11-28 is stored.\n"
    said = run("predict", "--date", "2021-11-28", "--json")
    assert json.loads(said.stdout)["predictions"] == []
    assert said.stderr == "No forecast for 2021-11-28 is stored.\n"


def test_a_pool_without_a_champion_says_so(run, tmp_path):
    publish(tmp_path, {"champions": pd.DataFrame([{**MEMBER, "symbol": "ETH"}])})
    said = run("predict", "--date", "2021-11-29").stdout
    assert said.startswith("No forecast for 2021-11-29: no member has a champion")
    assert said.count("\n") == 1


def test_an_answer_without_rows_says_so_in_a_table_alone(run, tmp_path):
    publish(tmp_path, {"predictions": FORECASTS})
    sql = "SELECT symbol FROM predictions WHERE probability > "
    assert run("query", sql + "1").stdout.rstrip().endswith("(0 rows)")
    assert "rows)" not in run("query", sql + "0").stdout
    assert json.loads(run("query", sql + "1", "--json").stdout) == []


def test_a_day_that_was_never_forecast_is_explained_by_the_way_to_it(run, tmp_path, monkeypatch):
    member = Member("BTC", Trend.UPTREND)
    opened = (member, FrameStore(str(tmp_path / "parquet")), None)
    monkeypatch.setattr(champions, "_open", lambda *_: opened)
    error = run("explain", "BTC_uptrend", "--date", "2021-11-30").exception
    assert isinstance(error, ModelUnavailable)
    assert exit_code(error) == ExitCode.MODEL
    assert "`crypto-pool predict --date 2021-11-30`" in str(error)
