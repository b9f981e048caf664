"""The commands that read: as a table for people, as one JSON document for programs."""

import json
import subprocess
from datetime import UTC, datetime

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.errors import ExitCode
from crypto_pool.workflow.history import retire
from crypto_pool_tests.conftest import PATIENCE_SECONDS
from crypto_pool_tests.pool_frames import LAST, pool_frames


@pytest.fixture(scope="module")
def pool(new_pool):
    made = new_pool(symbols="BTC,ETH", simulated_now="2026-11-25T09:00:00Z")
    publish(made.data, pool_frames())
    return made


def test_query_gives_json_with_null_for_what_is_undefined(pool):
    asked = pool.ask("query", "--json", f"SELECT DATE '{LAST}' AS day, NULL::DOUBLE AS nothing")
    assert asked.returncode == 0, asked.stderr
    (row,) = json.loads(asked.stdout)
    assert row["day"].startswith(LAST.isoformat())
    assert row["nothing"] is None


def test_files_and_documents_are_utf_8_whatever_the_locale(pool):
    settings = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    file = pool.home / "rows.csv"
    for option in (("--output", str(file)), ("--json",)):
        done = subprocess.run(
            pool.command("query", "SELECT chr(24065) AS coin", *option),
            env={**pool.environment, **settings},
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
    assert file.read_bytes() == "coin\n\N{CJK UNIFIED IDEOGRAPH-5E01}\n".encode()
    assert json.loads(done.stdout) == [{"coin": "\N{CJK UNIFIED IDEOGRAPH-5E01}"}]


def test_sql_that_is_no_utf_8_is_refused(pool):
    said = pool.ask("query", "SELECT '\udcff'")
    assert said.returncode == ExitCode.WRONG_INPUT
    assert "the SQL holds bytes that are no UTF-8" in said.stderr


def test_a_folder_that_is_gone_is_named(pool, tmp_path):
    (tmp_path / "gone").mkdir()
    command = 'cd "$1" && rmdir "$1" && shift && unset DAGSTER_HOME && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", command, "sh", str(tmp_path / "gone"), *pool.command("status")],
        env=pool.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == ExitCode.WRONG_INPUT
    assert "the current folder is gone: go to another, or make DAGSTER_HOME absolute" in done.stderr


def test_status_is_one_document(pool):
    said = json.loads(pool.ask("status", "--json").stdout)
    assert said["without_champion"] == ["ETH_downtrend"]
    assert len(said["members"]) == 3
    (btc,) = (m for m in said["members"] if (m["symbol"], m["trend"]) == ("BTC", "uptrend"))
    assert btc["prediction_date"].startswith(LAST.isoformat())
    assert (btc["live_signals"], btc["precision"]) == (36, 0.66)
    assert btc["realised_precision"] == round(24 / 36, 3)


def test_status_is_one_screen_with_both_trends_of_a_coin_on_a_line(pool):
    shown = pool.ask("status").stdout
    assert len(shown.splitlines()) < 20
    (btc,) = (line for line in shown.splitlines() if line.split()[:1] == ["BTC"])
    assert btc.split() == [
        *("BTC", "0.62", "0.55", "▲", "RidgeClassifier", "v3"),
        *("0.62", "0.55", "▲", "RandomForest", "v3"),
    ]
    assert "3 of 4 members have a champion" in shown
    assert f"forecasts of {LAST}, 1 day old" in shown
    assert "Synthetic market" in shown
    assert "Of 108 live signals that have come due, 67% came true; 66% were promised" in shown
    assert "Without a champion: ETH_downtrend" in shown


def test_status_says_that_the_clock_stands_before_what_is_forecast(new_pool):
    made = new_pool(symbols="BTC,ETH", simulated_now="2026-11-20T09:00:00Z")
    publish(made.data, pool_frames())
    shown = made.ask("status").stdout
    assert f"forecasts of {LAST}, which the clock here has yet to reach" in " ".join(shown.split())


def test_status_names_who_made_a_forecast_and_who_serves_now(new_pool):
    made, frames = new_pool(symbols="BTC,ETH", simulated_now="2026-11-25T09:00:00Z"), pool_frames()
    champions, forecasts = frames["champions"], frames["predictions"]
    rolled_back = champions["symbol"] == "ETH"
    champions.loc[rolled_back, ["algorithm", "model_version"]] = ["XGBoost", 1]
    forecasts.loc[forecasts["symbol"] == "ETH", "late"] = True
    forecasts.loc[forecasts["trend"] == "downtrend", "status"] = "abstain"
    publish(made.data, frames)
    shown = made.ask("status").stdout
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.strip()}
    assert rows["ETH"] == ["0.62", "0.55", "▲", "late", "AdaBoost", "v3", "none"]
    assert rows["BTC"] == [
        *("0.62", "0.55", "▲", "RidgeClassifier", "v3"),
        *("0.62", "0.55", "~", "RandomForest", "v3"),
    ]
    assert "~ BTC_downtrend abstains" in shown
    assert "late: made after the day that follows" in shown
    assert "ETH_uptrend: version 1 serves now" in shown
    assert "BTC_uptrend: version" not in shown
    told = json.loads(made.ask("status", "--json").stdout)["members"]
    (eth,) = (member for member in told if member["symbol"] == "ETH")
    assert (eth["algorithm"], eth["version"]) == ("XGBoost", 1)
    assert (eth["forecast_algorithm"], eth["forecast_version"]) == ("AdaBoost", 3)
    assert [member["late"] for member in told] == [member["symbol"] == "ETH" for member in told]


def test_a_retired_coin_is_no_member_whose_forecast_is_missing(new_pool):
    made, frames = new_pool(symbols="BTC,ETH", simulated_now="2026-11-25T09:00:00Z"), pool_frames()
    forecasts = frames["predictions"]
    is_old = (forecasts["symbol"] == "ETH") & (forecasts["prediction_date"] == LAST)
    publish(made.data, {**frames, "predictions": forecasts[~is_old]})
    assert "! ETH_uptrend: its latest forecast is of 2026-11-22" in made.ask("status").stdout
    retire(FrameStore(str(made.data / "parquet")), "ETH", LAST, datetime.now(UTC))
    shown = made.ask("status").stdout
    assert "2 of 2 members have a champion" in shown
    assert "Retired: ETH from 2026-11-23 on" in shown
    assert "ETH_" not in shown
    assert json.loads(made.ask("status", "--json").stdout)["symbols"] == ["BTC"]
    assert "forecasts of 2026-11-22" in made.ask("status", "--symbols", "ETH").stdout


def test_status_says_what_a_version_adds_and_which_baseline_forecasts(new_pool):
    made, frames = new_pool(symbols="BTC,ETH", simulated_now="2026-11-25T09:00:00Z"), pool_frames()
    frames["champions"]["added_points"] = 1.84
    forecasts = frames["predictions"]
    latest = forecasts[forecasts["prediction_date"] == LAST].head(1)
    of_panel = {"model_version": None, "algorithm": "Panel", "status": "baseline", "signal": False}
    own = latest.assign(symbol="ETH", trend="downtrend", **of_panel)
    frames["predictions"] = pd.concat([forecasts, own])
    publish(made.data, frames)
    shown = made.ask("status").stdout
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.strip()}
    assert rows["BTC"][3:6] == ["RidgeClassifier", "v3", "±1.8"]
    assert rows["ETH"][6:] == ["0.62", "0.55", "Panel"]
    assert "3 of 4 members have a champion" in shown
    assert "Without a champion: ETH_downtrend" in shown
    assert "Skill over the reference" in shown
    told = json.loads(made.ask("status", "--json").stdout)
    assert told["without_champion"] == ["ETH_downtrend"]
    by = {(row["symbol"], row["trend"]): row for row in told["members"]}
    assert by["BTC", "uptrend"]["added_points"] == 1.84
    assert by["ETH", "downtrend"]["forecast_algorithm"] == "Panel"
    assert by["ETH", "downtrend"]["has_champion"] is False


def test_status_speaks_of_the_coins_that_are_stored_unless_others_are_asked_for(pool):
    kept = pool.settings.pop("symbols")
    try:
        assert json.loads(pool.ask("status", "--json").stdout)["symbols"] == ["BTC", "ETH"]
        asked = json.loads(pool.ask("status", "--symbols", "SOL,BTC", "--json").stdout)
    finally:
        pool.settings["symbols"] = kept
    assert asked["symbols"] == ["SOL", "BTC"]
    assert asked["without_champion"] == ["SOL_uptrend", "SOL_downtrend"]
    assert {row["symbol"] for row in asked["members"]} == {"BTC"}


def test_a_wrong_option_is_a_usage_message(pool):
    wrong = pool.ask("query", "--jsn", "SELECT 1")
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_completion_is_offered_and_completes_commands_and_options(pool, monkeypatch):
    # The shell is looked for among the processes above, and one with a single command makes way.
    within = ["bash", "-c", f"{' '.join(pool.command('--show-completion'))}; exit $?"]
    offered = subprocess.run(
        within, env=pool.environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert "_CRYPTO_POOL_COMPLETE" in offered.stdout, offered.stderr
    monkeypatch.setenv("_CRYPTO_POOL_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "crypto-pool pre")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert pool.ask().stdout.split() == ["predict"]
