"""What a command prints of its result, and what it says where there is none."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest
from typer.testing import CliRunner

from crypto_pool import building
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.building import BuildReport
from crypto_pool.cli import app
from crypto_pool.commands import champions
from crypto_pool.commands.exit_codes import exit_code
from crypto_pool.domain.explanation import SPLIT
from crypto_pool.domain.members import Member, Trend
from crypto_pool.errors import ExitCode, ModelUnavailable
from crypto_pool.settings import load_settings
from crypto_pool.workflow.promotion import reconciling

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
    monkeypatch.setattr(building, "run_layers", lambda *_: BuildReport())
    load_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(app, list(arguments))
    load_settings.cache_clear()


def test_the_forecasts_shown_are_those_of_the_day_asked_for(run, tmp_path):
    publish(tmp_path, {"predictions": FORECASTS, "champions": pd.DataFrame([MEMBER])})
    for command in ("predict", "build"):
        said = run(command, "--date", "2021-11-29").stdout
        assert "0.25" in said
        assert "0.75" not in said
    (row,) = json.loads(run("predict", "--date", "2021-11-29", "--json").stdout)["predictions"]
    assert row["probability"] == 0.25


def test_a_day_without_a_forecast_is_said_in_one_line(run, tmp_path):
    publish(tmp_path, {"predictions": FORECASTS, "champions": pd.DataFrame([MEMBER])})
    said = run("predict", "--date", "2021-11-28")
    assert said.stdout == "No forecast for 2021-11-28 is stored.\n"
    said = run("predict", "--date", "2021-11-28", "--json")
    assert json.loads(said.stdout)["predictions"] == []
    assert said.stderr == "No forecast for 2021-11-28 is stored.\n"


def test_a_day_of_which_nothing_could_be_forecast_is_no_success(run, tmp_path):
    reason = {"reason": "BTC has no bars", "has_bar": False}
    missing = [{"prediction_date": pd.Timestamp("2021-11-28"), "symbol": "BTC", **reason}]
    missing = [{**row, "trend": trend} for row in missing for trend in Trend]
    publish(tmp_path, {"predictions": FORECASTS, "missing_forecasts": pd.DataFrame(missing)})
    said = run("predict", "--date", "2021-11-28", "--json")
    assert said.exit_code == ExitCode.MEMBERS_FAILED
    assert json.loads(said.stdout)["failures"] == [
        "BTC_uptrend: BTC has no bars",
        "BTC_downtrend: BTC has no bars",
    ]


def test_where_nothing_was_published_the_failures_are_told(run, monkeypatch):
    why = "prediction_tables [all]: OSError: no room"
    monkeypatch.setattr(building, "run_layers", lambda *_: BuildReport([why]))
    said = run("predict", "--date", "2021-11-28", "--json")
    assert said.exit_code == ExitCode.MEMBERS_FAILED
    assert json.loads(said.stdout)["failures"] == [why]


def test_what_a_table_holds_cannot_command_the_terminal(run, tmp_path):
    publish(tmp_path, {"predictions": FORECASTS})
    said = run("query", "SELECT chr(27) || '[31mred' AS \"b\x1b[0m\"").stdout
    assert r"\u001b[31mred" in said
    assert "\x1b" not in said


def test_an_answer_without_rows_says_so_in_a_table_alone(run, tmp_path):
    publish(tmp_path, {"predictions": FORECASTS})
    sql = "SELECT symbol FROM predictions WHERE probability > "
    assert run("query", sql + "1").stdout.rstrip().endswith("(0 rows)")
    assert "rows)" not in run("query", sql + "0").stdout
    assert json.loads(run("query", sql + "1", "--json").stdout) == []


def test_a_baseline_is_explained_by_its_parts_in_percentage_points(run, tmp_path, monkeypatch):
    parts = {"reference": -0.2, "volatility": 0.012, "drift": -0.003}
    tags = {
        "classifier": "Panel",
        "feature_importance": json.dumps(parts),
        "feature_importance_absolute": json.dumps({k: abs(v) for k, v in parts.items()}),
        "reference_importance": "0.0",
        "explanation_method": SPLIT,
    }
    serving = SimpleNamespace(version=SimpleNamespace(version="2", tags=tags), fault="")
    store = FrameStore(str(tmp_path / "parquet"))
    monkeypatch.setattr(champions, "_open", lambda *_: (Member("BTC", Trend.UPTREND), store, None))
    monkeypatch.setattr(reconciling, "champion_of", lambda *_: serving)
    said = run("explain", "BTC_uptrend").stdout
    assert "BTC_uptrend: version 2, Panel: how far each part moves the probability" in said
    assert [line.split() for line in said.splitlines()[-3:]] == [
        ["reference", "-20.0", "20.0"],
        ["volatility", "1.2", "1.2"],
        ["drift", "-0.3", "0.3"],
    ]
    told = json.loads(run("explain", "BTC_uptrend", "--json").stdout)
    assert told["feature_importance"][1]["mean"] == 0.012


def test_a_day_that_was_never_forecast_is_explained_by_the_way_to_it(run, tmp_path, monkeypatch):
    member = Member("BTC", Trend.UPTREND)
    opened = (member, FrameStore(str(tmp_path / "parquet")), None)
    monkeypatch.setattr(champions, "_open", lambda *_: opened)
    error = run("explain", "BTC_uptrend", "--date", "2021-11-30").exception
    assert isinstance(error, ModelUnavailable)
    assert exit_code(error) == ExitCode.MODEL
    assert "`crypto-pool predict --date 2021-11-30`" in str(error)


PRICE = """SELECT 7.3e-07::DOUBLE AS price_usd, 12345678901234567::BIGINT AS volume, NULL AS gone,
    '[red]x[/red]' AS bracketed, DATE '2024-01-02' AS day, true AS flag"""


def test_an_answer_shows_all_digits_null_and_brackets_as_they_are(run, tmp_path):
    publish(tmp_path, {"predictions": FORECASTS})
    head, _, row = run("query", PRICE).stdout.splitlines()[:3]
    assert row.split() == [
        "7.3e-07", "12345678901234567", "NULL", "[red]x[/red]", "2024-01-02", "true",
    ]  # fmt: skip
    assert head.index("price_usd") + len("price_usd") == row.index("7.3e-07") + len("7.3e-07")
    (exact,) = json.loads(run("query", PRICE, "--json").stdout)
    assert exact == {
        "price_usd": 7.3e-07,
        "volume": 12345678901234567,
        "gone": None,
        "bracketed": "[red]x[/red]",
        "day": "2024-01-02",
        "flag": True,
    }


def test_what_does_not_fit_is_wrapped_or_left_out_by_name_and_never_cut(run, tmp_path, monkeypatch):
    publish(tmp_path, {"predictions": FORECASTS})
    monkeypatch.setenv("COLUMNS", "80")
    words = "a reason that is longer than what is left of the line beside the numbers"
    sql = f"""SELECT 0.1234567890123456 AS reference_probability, '{words}' AS reason,
        {", ".join(f"{n}.123456789012345::DOUBLE AS number_{n}" for n in range(1, 5))},
        repeat('long ', 200) AS document, 1 AS last"""
    said = run("query", sql).stdout
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in said
    assert "0.1234567890123456" in said
    assert "reference_" in lines[0]
    for word in words.split():
        assert word in said
    assert "Left out to fit 80 columns: number_3, number_4, document, last." in said
    assert len(json.loads(run("query", sql, "--json").stdout)[0]) == 8


def test_columns_of_one_name_keep_their_own_values(run, tmp_path):
    publish(tmp_path, {"predictions": FORECASTS})
    sql = """SELECT a.probability, b.probability FROM predictions a JOIN predictions b
        ON a.prediction_date < b.prediction_date"""
    assert json.loads(run("query", sql, "--json").stdout) == [
        {"probability": 0.25, "probability_1": 0.75}
    ]
    assert run("query", sql).stdout.split()[-2:] == ["0.25", "0.75"]
    assert run("query", sql, "--csv").stdout == "probability,probability_1\n0.25,0.75\n"


@pytest.mark.parametrize(
    "value", ["DATE 'infinity'", "DATE '290000-01-01'", "TIMESTAMP 'infinity'", "MAP {[1]: 2}"]
)
@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)])
def test_a_value_that_python_has_no_form_of_is_refused_with_the_way_out(run, tmp_path, value, form):
    publish(tmp_path, {"predictions": FORECASTS})
    refused = run("query", f"SELECT {value} AS x", *form)
    assert exit_code(refused.exception) is ExitCode.WRONG_INPUT
    assert "CAST" in str(refused.exception)
    assert run("query", f"SELECT CAST({value} AS VARCHAR) AS x", *form).exit_code == 0


def test_an_interval_names_its_units(run, tmp_path):
    publish(tmp_path, {"predictions": FORECASTS})
    said = run("query", "SELECT INTERVAL 3 DAY AS age", "--json").stdout
    assert json.loads(said) == [{"age": {"months": 0, "days": 3, "nanoseconds": 0}}]


def test_an_answer_goes_to_csv_and_parquet_whole(run, tmp_path):
    publish(tmp_path, {"predictions": FORECASTS})
    said = run("query", PRICE, "--csv").stdout
    assert said.splitlines() == [
        "price_usd,volume,gone,bracketed,day,flag",
        "7.3e-07,12345678901234567,,[red]x[/red],2024-01-02,true",
    ]
    for name in ("rows.csv", "rows.parquet"):
        assert "1 rows" in run("query", PRICE, "--output", str(tmp_path / name)).stdout
    assert (tmp_path / "rows.csv").read_text() == said
    (row,) = pd.read_parquet(tmp_path / "rows.parquet").to_dict("records")
    assert row["price_usd"] == 7.3e-07
    for wrong, why in (("rows.xlsx", "ends in .csv or .parquet"), ("gone/rows.csv", "mkdir -p")):
        refused = run("query", PRICE, "--output", str(tmp_path / wrong)).exception
        assert why in str(refused)


def test_status_loses_nothing_in_80_columns(run, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    both = [{"symbol": "MATIC", "trend": str(trend)} for trend in Trend]
    maker = {"algorithm": "HistGradientBoosting", "model_version": "12"}
    forecast = {"prediction_date": "2021-11-30", "probability": 0.75, "reference_probability": 0.5}
    reason = "ADX lies 3.1 widths of its training span outside it"
    states = ({"status": "active", "signal": True}, {"status": "abstain", "abstain_reason": reason})
    rows = [
        {**member, **maker, **forecast, **state} for member, state in zip(both, states, strict=True)
    ]
    champions = [{**member, **maker} for member in both]
    publish(tmp_path, {"predictions": pd.DataFrame(rows), "champions": pd.DataFrame(champions)})
    said = run("status", "--symbols", "MATIC").stdout
    assert "…" not in said
    row = next(line for line in said.splitlines() if line.startswith("MATIC"))
    four = "0.75 0.50 {} HistGradientBoosting v12"
    assert row.split() == f"MATIC {four.format('▲')} {four.format('~')}".split()
    assert f"~ MATIC_downtrend abstains: {reason}" in " ".join(said.split())


def test_status_of_a_coin_that_is_not_in_the_pool_is_an_error(run, tmp_path):
    publish(tmp_path, {"champions": pd.DataFrame([MEMBER])})
    error = run("status", "--symbols", "DOGE").exception
    assert str(error) == "DOGE: no coin of this pool; it has BTC."
    assert exit_code(error) == ExitCode.WRONG_INPUT
