"""`crypto-pool doctor`: one coin pulled live, and each line ok or with its way out."""

import json
from datetime import date
from pathlib import Path
from socket import create_server

import pytest
from typer.testing import CliRunner

from crypto_pool import __version__
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.cli import app
from crypto_pool.commands.doctor import _ports
from crypto_pool.defs.market_data import request_budget
from crypto_pool.domain.bar_validation import PRICE_COLUMNS
from crypto_pool.errors import ExitCode, InvalidSetting
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.settings import Settings, load_settings

SECRET = "CANARYKEY0123456"
BARS = SyntheticMarket().bars("BTC", date(2023, 6, 30))


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the command over a folder with one file of bars."""
    folder = tmp_path / "bars"
    folder.mkdir()
    values = {
        "DAGSTER_HOME": str(tmp_path / "home"),
        "CRYPTO_POOL_PROVIDER": "directory",
        "CRYPTO_POOL_MARKET_DATA_DIR": str(folder),
        "CRYPTO_POOL_SYMBOLS": "BTC,ETH",
        "CRYPTO_POOL_SIMULATED_NOW": "2023-07-01T12:00:00",
        "CRYPTO_POOL_ALPHA_VANTAGE_API_KEY": SECRET,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)

    def run(content: str, *arguments: str) -> tuple[int, dict[str, dict[str, object]]]:
        (folder / "BTC.csv").write_text(content)
        load_settings.cache_clear()
        done = CliRunner().invoke(app, ["doctor", *arguments, "--json"])
        load_settings.cache_clear()
        assert SECRET not in done.output
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, {line["name"]: line for line in json.loads(done.stdout)}

    return run


def test_a_healthy_source_is_shown_as_it_is_understood(ask) -> None:
    code, found = ask(BARS.to_csv(sep=";"))
    assert code == 0, found
    assert "semicolon" in found["layout"]["text"]
    assert f"{len(BARS)} bars of BTC, first 2020-01-01 (open" in found["bars"]["text"]
    assert "last 2023-06-30 (open" in found["bars"]["text"]
    assert found["clock"]["text"].startswith("2023-07-01 12:00 UTC, simulated")
    for name in ("disk", "ports", "source", "breaks", "MLflow", "Dagster", "DuckDB"):
        assert found[name]["is_ok"], found[name]
    for word in ("Python 3", "crypto_pool ", "dagster ", "mlflow ", "duckdb "):
        assert word in found["versions"]["text"]
    assert f"crypto_pool {__version__}," in found["versions"]["text"]


def test_breaks_and_gaps_are_shown_with_their_way_out(ask) -> None:
    bars = BARS.drop(BARS.index[-40])
    bars.loc["2023-01-01":, list(PRICE_COLUMNS)] *= 1000
    code, found = ask(bars.to_csv())
    assert code == 1
    assert "gap on 2023-05-22" in found["bars"]["text"]
    assert "crypto-pool accept-break BTC 2023-01-01" in found["breaks"]["text"]
    assert found["Dagster"]["is_ok"]


@pytest.mark.parametrize(
    ("content", "arguments", "line", "told"),
    [
        (BARS.iloc[:-20].to_csv(), (), "clock", "20 days behind: set the clock, or bring newer"),
        (BARS.to_csv(), ("ETH",), "bars", "UnknownSymbol: ETH: no ETH.csv"),
        ("<html>Sign in</html>", (), "bars", "InvalidBars: .* holds a web page"),
    ],
)
def test_a_fault_is_told_and_the_rest_is_looked_at(ask, content, arguments, line, told) -> None:
    import re

    code, found = ask(content, *arguments)
    assert code == 1
    assert found[line]["is_ok"] is False
    assert re.search(told, found[line]["text"])
    assert found["DuckDB"]["is_ok"]


def test_a_folder_of_another_source_is_told_and_the_new_one_is_looked_at(ask, tmp_path) -> None:
    FrameStore(str(tmp_path / "home" / "data")).claim("sandbox:seed=7")
    code, found = ask(BARS.to_csv())
    assert code == 1
    assert "holds bars from 'sandbox:seed=7', and the provider now is" in found["source"]["text"]
    assert found["bars"]["is_ok"]


def test_a_spent_budget_is_told_with_the_moment_at_which_it_ends(
    ask, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("CRYPTO_POOL_ALPHA_VANTAGE_PLAN", "1/day")
    monkeypatch.setenv("CRYPTO_POOL_REQUEST_BUDGET_DIR", str(tmp_path / "budget"))
    monkeypatch.setenv("CRYPTO_POOL_ALPHA_VANTAGE_BASE_URL", "http://127.0.0.1:9/query")
    monkeypatch.setenv("CRYPTO_POOL_PROVIDER", "alpha_vantage")
    load_settings.cache_clear()
    budget = request_budget(load_settings())
    assert budget is not None
    with budget.request():
        pass
    budget.close()
    code, found = ask("", "--provider", "alpha_vantage")
    assert code == ExitCode.MEMBERS_FAILED
    assert found["request budget"]["text"] == (
        "DailyQuotaExhausted: 1 requests in 24 hours, none left: wait until 2023-07-02 12:00 UTC"
    )


def test_a_damaged_history_of_runs_is_named(ask, tmp_path) -> None:
    (tmp_path / "home" / "history" / "runs").mkdir(parents=True)
    (tmp_path / "home" / "history" / "runs" / "index.db").write_bytes(b"no database" * 99)
    code, found = ask(BARS.to_csv())
    assert code == 1
    assert "index.db: file is not a database: put the file back" in found["Dagster"]["text"]


def test_more_workers_than_cores_are_named_with_how_many_there_can_be(ask, monkeypatch) -> None:
    _, found = ask(BARS.to_csv())
    assert found["workers"]["is_ok"]
    monkeypatch.setenv("CRYPTO_POOL_WORKERS", "64")
    monkeypatch.setattr("joblib.cpu_count", lambda: 3)
    code, found = ask(BARS.to_csv())
    assert code == ExitCode.MEMBERS_FAILED
    assert "64 training processes, 3 cores" in found["workers"]["text"]
    assert found["workers"]["text"].endswith("set CRYPTO_POOL_WORKERS to 3")
    monkeypatch.setenv("CRYPTO_POOL_DASK_SCHEDULER", "tcp://127.0.0.1:8786")
    _, found = ask(BARS.to_csv())
    assert found["workers"]["text"] == "those of tcp://127.0.0.1:8786"


def test_a_host_that_is_none_is_no_port_in_use():
    settings = Settings(_env_file=None, serving_host="a..b")
    with pytest.raises(InvalidSetting, match=r"a\.\.b:8000 cannot be listened on"):
        _ports(settings)
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = _ports(Settings(_env_file=None, serving_port=port))
    assert f"{port} in use (CRYPTO_POOL_SERVING_PORT chooses another)" in said
