"""A pool that 1.0.0 left opens as it is: who serves, what they say, and all that was recorded."""

import json

import pandas as pd
import pytest

from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool_tests.conftest import PoolFolder
from crypto_pool_tests.homes import unpack_v1_0_0

LAST = "2023-07-31"
VERSION = ["symbol", "trend", "model_version"]
FORECASTS = {"predictions": "daily_predictions", "shadow_predictions": "shadow_predictions"}
CHAMPIONS = {
    ("BTC", "uptrend"): ("NeuralNet", 1),
    ("BTC", "downtrend"): ("XGBoost", 2),
    ("ETH", "uptrend"): ("LightGBM", 1),
    ("ETH", "downtrend"): ("LightGBM", 2),
}


def stored(pool: PoolFolder, name: str) -> pd.DataFrame:
    files = sorted((pool.data / "parquet" / name).glob("*.parquet"))
    return pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> PoolFolder:
    """The pool as unpacked, without a setting but those of its `.env`; `before` is its past."""
    pool = PoolFolder(tmp_path_factory.mktemp("home"))
    unpack_v1_0_0(pool.home)
    pool.before = {
        name: stored(pool, name)
        for name in (*FORECASTS.values(), "prediction_outcomes", "promotions")
    }
    return pool


@pytest.fixture(scope="module")
def forecast(opened: PoolFolder) -> PoolFolder:
    """The pool after it has lost its last day's forecasts and made them again."""
    for name in FORECASTS.values():
        (opened.data / "parquet" / name / f"{LAST}.parquet").unlink()
    done = opened.run("predict", "--date", LAST)
    assert done.returncode == 0, done.stdout + done.stderr
    return opened


def test_status_reads_its_publication_and_its_env_file(opened):
    done = opened.ask("status", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["symbols"] == ["BTC", "ETH"]
    serving = {(m["symbol"], m["trend"]): (m["algorithm"], m["version"]) for m in said["members"]}
    assert {member: (name, int(number)) for member, (name, number) in serving.items()} == CHAMPIONS
    shown = opened.ask("status")
    assert shown.returncode == 0, shown.stderr
    assert "4 of 4 members have a champion" in shown.stdout


def test_its_versions_of_each_artifact_format_say_what_they_said(forecast):
    algorithms = set()
    for table, stored_as in FORECASTS.items():
        before, again = (
            frame[frame["prediction_date"].astype(str).str[:10] == LAST]
            .astype({"model_version": int})
            .set_index(VERSION)
            .sort_index()
            for frame in (forecast.before[stored_as], forecast.table(table))
        )
        assert list(again.index) == list(before.index)
        for name in ("probability", "reference_probability", "decision_threshold"):
            pd.testing.assert_series_equal(again[name], before[name], atol=1e-6)
        algorithms |= set(again["algorithm"])
    assert algorithms == {"NeuralNet", "XGBoost", "LightGBM", "RidgeClassifier"}


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("predictions", ["prediction_date", *VERSION]),
        ("shadow_predictions", ["prediction_date", *VERSION]),
        ("prediction_outcomes", ["prediction_date", *VERSION]),
        ("promotions", ["decided_at_utc", "symbol", "trend", "decision"]),
    ],
)
def test_all_that_was_recorded_is_still_there(forecast, table, key):
    before, now = forecast.before[FORECASTS.get(table, table)], forecast.table(table)
    assert len(before) > 0
    assert {*map(tuple, before[key].astype(str).to_numpy())} <= {
        *map(tuple, now[key].astype(str).to_numpy())
    }


@pytest.fixture(scope="module")
def trained(forecast: PoolFolder) -> PoolFolder:
    """The pool after the training that its members are due for, with one algorithm, and a day."""
    done = forecast.build_few(LAST, algorithms=("KNeighbors",))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return forecast


@pytest.mark.long
def test_a_training_decides_anew_and_keeps_ledger_forecasts_and_models(trained):
    before, now = trained.before["promotions"], trained.table("promotions")
    assert len(now) == len(before) + len(CHAMPIONS)
    key = ["prediction_date", "symbol", "trend", "probability"]
    kept = trained.before["daily_predictions"]
    kept = kept[kept["prediction_date"].astype(str).str[:10] < LAST]
    assert len(kept) > 0
    assert {*map(tuple, kept[key].astype(str).to_numpy())} <= {
        *map(tuple, trained.table("predictions")[key].astype(str).to_numpy())
    }
    registry = ModelRegistry(
        f"sqlite:///{trained.data / 'mlflow' / 'mlflow.db'}", str(trained.data / "mlflow/artifacts")
    )
    for (symbol, trend), (algorithm, version) in CHAMPIONS.items():
        assert registry.versions.load(f"{symbol}_{trend}", str(version)).algorithm == algorithm
    today = trained.table("predictions")
    assert len(today[today["prediction_date"].astype(str).str[:10] == LAST]) == len(CHAMPIONS)


@pytest.mark.long
def test_a_version_of_1_0_0_can_serve_again(trained):
    algorithm, version = CHAMPIONS["BTC", "uptrend"]
    years_later = PoolFolder(trained.home, {"simulated_now": "2026-01-01T12:00:00"})
    done = years_later.run("rollback", "BTC_uptrend", "--to", str(version))
    assert f"{trained.table('promotions')['as_of'].max()}"[:10] == LAST  # no day it never reached
    served = json.loads(trained.run("status", "--json").stdout)["members"]
    now = next(m for m in served if (m["symbol"], m["trend"]) == ("BTC", "uptrend"))
    assert (now["algorithm"], str(now["version"])) == (algorithm, str(version)), done.stderr
