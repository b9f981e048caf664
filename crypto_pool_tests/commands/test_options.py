"""What an option names is looked at before the work begins that needs it."""

from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crypto_pool.cli import app
from crypto_pool.commands.exit_codes import exit_code
from crypto_pool.commands.options import chosen_settings, read_names
from crypto_pool.domain.dates import read_date
from crypto_pool.errors import ExitCode, InvalidSetting
from crypto_pool.settings import Settings, load_settings

REPLAY = ("replay", "--from", "2021-06-01", "--to", "2021-08-10", "--retrain-every-days", "40")
WORK = (
    "crypto_pool.replay.known_truth.study_known_truth",
    "crypto_pool.replay.market.pull_market",
)


@pytest.fixture
def begun(monkeypatch):
    """Arguments of the work that was begun; none of it is done."""
    calls = []

    def begin(*arguments):
        calls.append(arguments)
        return [], []

    for work in WORK:
        monkeypatch.setattr(work, begin)
    return calls


@pytest.mark.parametrize(
    "command", [("known-truth", "--output"), (*REPLAY, "--output"), (*REPLAY, "--html")]
)
def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    command, begun, tmp_path, monkeypatch
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    for file, way_out in (
        (tmp_path / "gone" / "report", "mkdir -p"),
        (tmp_path, "name a file"),
        (Path("/proc/report"), "name another"),
    ):
        answer = CliRunner().invoke(app, [*command, str(file)])
        assert isinstance(answer.exception, InvalidSetting)
        assert f"{command[-1]} {file}" in str(answer.exception)
        assert way_out in str(answer.exception)
    assert begun == []


def test_a_list_may_have_spaces(begun):
    options = ["--symbols", "BTC, ETH", "--candidates", "LightGBM, KNeighbors"]
    CliRunner().invoke(app, ["known-truth", *options])
    assert begun == [(2, ("BTC", "ETH"), ("LightGBM", "KNeighbors"), 2000, 2)]


def test_lists_and_days_are_read_the_same_everywhere():
    assert read_names(" BTC,ETH BTC,, ") == ("BTC", "ETH")
    assert read_date("--from", "2021-06-01") == date(2021, 6, 1)
    with pytest.raises(InvalidSetting, match="--to '1 June' is not a date; use YYYY-MM-DD"):
        read_date("--to", "1 June")


@pytest.mark.parametrize(("command", "said"), [("restore", "not exist"), ("backup", "directory")])
def test_an_archive_that_cannot_be_one_is_wrong_input(command, said, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    file = tmp_path / "gone.tar.gz" if command == "restore" else tmp_path
    answer = CliRunner().invoke(app, [command, str(file)])
    assert answer.exit_code == 2
    assert said in answer.output.replace("\n", " ")


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """What a command says that is refused before it has written anything."""
    home = tmp_path / "home"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("CRYPTO_POOL_SIMULATED_NOW", "2024-03-01T23:59:59")

    def run(*arguments):
        load_settings.cache_clear()
        error = CliRunner().invoke(app, list(arguments)).exception
        assert isinstance(error, InvalidSetting)
        assert exit_code(error) == ExitCode.WRONG_INPUT
        assert not home.exists()
        return str(error)

    yield run
    load_settings.cache_clear()


@pytest.mark.parametrize("command", ["build", "train", "predict"])
def test_a_day_that_is_not_closed_is_refused_before_anything_runs(command, refused):
    said = refused(command, "--date", "2024-03-01")
    assert said == "--date 2024-03-01 is not closed yet; the latest closed day is 2024-02-29."


def test_the_latest_closed_day_is_the_default_and_may_be_asked_for():
    settings = Settings(simulated_now="2024-03-01T00:00:00")
    for text in (None, "2024-02-29"):
        assert settings.closed_day("--date", text) == date(2024, 2, 29)


@pytest.mark.parametrize("command", ["build", "predict"])
def test_a_day_before_the_first_of_forecasts_is_refused_before_anything_runs(command, refused):
    said = refused(command, "--date", "2010-01-01")
    assert "2010-01-01 lies before 2018-01-01" in said
    assert "CRYPTO_POOL_FIRST_PREDICTION_DATE" in said


@pytest.mark.parametrize(
    "command",
    [("accept-break", "NOPE", "2024-01-01"), ("restart-history", "NOPE"), ("retire", "NOPE")],
)
def test_a_coin_that_the_pool_never_had_is_told_so(command, refused):
    assert "NOPE is no coin of this pool, whose coins are AAVE" in refused(*command)


@pytest.mark.parametrize("day", ["0001-01-01", "2008-12-31", "2100-01-01", "9999-12-31"])
@pytest.mark.parametrize(
    "command",
    [
        ("retire", "BTC", "--from"),
        ("accept-break", "BTC"),
        ("build", "--date"),
        ("panel", "--from", "2022-01-01", "--to"),
    ],
)
def test_a_day_on_which_no_bar_can_be_is_refused(command, day, refused):
    assert f" {day}: bars are of 2009 to 2099." in refused(*command, day)


def test_days_that_end_before_they_begin_are_refused(refused):
    said = refused("panel", "--from", "2024-01-02", "--to", "2024-01-01")
    assert said == "--to 2024-01-01 is no day after --from 2024-01-02; give a later one."


@pytest.mark.parametrize("command", ["panel", "replay"])
def test_days_that_are_yet_to_come_are_not_replayed(command, refused):
    said = refused(command, "--from", "2024-01-01", "--to", "2099-01-01")
    assert said.startswith("--to 2099-01-01 is not closed yet; the latest closed day is 20")


def test_a_coin_to_be_scored_that_the_panel_has_not_is_refused(refused):
    days = ("--from", "2024-01-01", "--to", "2024-02-01", "--symbols", "BTC,ETH")
    said = refused("panel", *days, "--scored", "ETH,SOL")
    assert said == "--scored SOL: the panel's coins are BTC, ETH; add it to --symbols"


def test_a_folder_of_bars_that_is_not_there_is_refused_before_anything_runs(
    refused, tmp_path, monkeypatch
):
    monkeypatch.setenv("CRYPTO_POOL_PROVIDER", "directory")
    monkeypatch.setenv("CRYPTO_POOL_MARKET_DATA_DIR", str(tmp_path / "nowhere"))
    said = refused("build")
    assert f"folder {tmp_path / 'nowhere'} does not exist" in said
    assert "CRYPTO_POOL_MARKET_DATA_DIR" in said


def test_a_symbol_is_refused_by_the_one_rule_from_the_option_to_the_file(tmp_path, monkeypatch):
    """Upper case would make another coin of it, in one place alone."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    why = "is another form of 'SS'"
    for command in (
        ("build", "--symbols", "BTC,\u00df"),
        ("new", str(tmp_path / "made"), "--symbols", "\u00df"),
        ("accept-break", "\u00df", "2021-06-01"),
        ("doctor", "\u00df"),
        ("odds", "\u00df", "--move", "8%"),
    ):
        answer = CliRunner().invoke(app, command)
        assert isinstance(answer.exception, InvalidSetting), (command, answer.output)
        assert why in str(answer.exception)
    (tmp_path / "pool.toml").write_text('symbols = ["btc", "\u00df"]\n', encoding="utf-8")
    load_settings.cache_clear()
    with pytest.raises(InvalidSetting, match=why):
        load_settings()


def test_options_win_though_an_import_has_read_the_settings_before(tmp_path, monkeypatch):
    for name, value in (("DAGSTER_HOME", str(tmp_path)), ("CRYPTO_POOL_SYMBOLS", "ETH,ADA")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CRYPTO_POOL_PROVIDER", "sandbox")
    load_settings.cache_clear()
    assert load_settings().symbols == ("ETH", "ADA")
    chosen = chosen_settings("BTC", "exchange")
    assert (chosen.symbols, chosen.provider) == (("BTC",), "exchange")
    assert chosen_settings() is chosen
    load_settings.cache_clear()
