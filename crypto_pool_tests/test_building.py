"""The whole graph through the command line, on the synthetic market and on files."""

import base64
import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, date, datetime

import pandas as pd
import pytest

from crypto_pool.adapters.charts import JUDGEMENT_FILE
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import LINK_NAME
from crypto_pool.domain.served_model import BASELINES
from crypto_pool.errors import ExitCode
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.history import retire
from crypto_pool_tests.stages import FEW

BAR_DATE = "2023-06-30"
# Locks, what databases keep beside them, what a publication was made of, and the one file that is
# the package's.
PASSING = (".lock", "-wal", "-shm", ".jsonl", ".published.json", "dagster.yaml")
LEFT_OUT = ["predicted_at_utc", "dagster_run_id"]
# What a shell may hold that means other pools, runs and machines.
ANOTHERS = {
    "MLFLOW_RUN_ID": "0" * 32,
    "MLFLOW_EXPERIMENT_NAME": "my own",
    "KERAS_BACKEND": "tensorflow",
    "JAX_PLATFORMS": "cuda",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    "MLFLOW_REGISTRY_URI": "http://127.0.0.1:9",
    "MPLBACKEND": "TkAgg",
    "TZ": "Mars/Olympus",
}


def write_market(folder, symbols, through=date(2023, 7, 31)):
    folder.mkdir()
    market = SyntheticMarket(seed=3, predictability=0.5)
    for symbol in symbols:
        market.bars(symbol, through).to_csv(folder / f"{symbol}.csv")
    return folder


def running_mlflow_runs(pool):
    with closing(sqlite3.connect(pool.data / "mlflow" / "mlflow.db")) as store:
        return store.execute("SELECT count(*) FROM runs WHERE status = 'RUNNING'").fetchone()[0]


def comparable(frame):
    return frame.drop(columns=LEFT_OUT).sort_values(["symbol", "trend"], ignore_index=True)


def written(home):
    """The files of a home, by the names that a backup has for them, without old publications."""
    latest = (home / "data" / LINK_NAME).resolve()
    places = {"data/parquet": "parquet", "data/mlflow": "mlflow", "data": "data", "": "dagster"}
    for path in home.rglob("*"):
        name = path.relative_to(home).as_posix()
        old = path.suffix == latest.suffix and path != latest
        if path.is_file() and not path.is_symlink() and not old:
            place = next(one for one in places if name.startswith(one))
            yield f"{places[place]}/{name.removeprefix(place).lstrip('/')}"


@pytest.fixture(scope="module")
def built(new_pool, tmp_path_factory):
    """Two good coins, one of 150 bars, one of 40, one broken file: built once for this module."""
    market = write_market(tmp_path_factory.mktemp("files") / "market", ["AAA", "EEE"])
    for symbol, count in (("YOUNG", 150), ("SHORT", 40)):
        bars = SyntheticMarket(seed=3, predictability=0.5).bars(symbol, date(2023, 7, 31))
        first = pd.Timestamp(BAR_DATE) - pd.Timedelta(days=count - 1)
        bars.loc[first:].to_csv(market / f"{symbol}.csv")
    (market / "BAD.csv").write_text("date,open\n2023-01-01,1\n")
    pool = new_pool(
        with_stores=True,
        symbols="AAA,SHORT,BAD,YOUNG,EEE",
        provider="directory",
        market_data_dir=str(market),
        simulated_now="2024-01-01T12:00:00+00:00",
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ANOTHERS.items():
            patch.setenv(name, value)
        pool.first = pool.build_few(BAR_DATE)
    return pool


def test_good_coins_are_built_and_bad_ones_named(built):
    assert built.first.returncode == 1, built.first.stdout + built.first.stderr
    said = built.first.stdout
    assert "daily_bars [SHORT]: InsufficientHistory: SHORT: 71 usable bars" in said
    assert "(on 2023-09-18 there will be enough)" in " ".join(said.split())
    assert "[YOUNG" not in said
    assert "daily_bars [BAD]: InvalidBars" in said
    scores = built.table("candidate_scores")
    assert set(scores["symbol"]) == {"AAA", "EEE"}
    assert len(scores) == 2 * 2 * len(FEW)


def test_every_member_with_bars_has_one_prediction_and_its_champion_makes_it(built):
    champions, predictions = built.table("champions"), built.table("predictions")
    assert len(champions) > 0
    members = ["symbol", "trend"]
    assert sorted(map(tuple, predictions[members].to_numpy())) == [
        (symbol, trend) for symbol in ("AAA", "EEE", "YOUNG") for trend in ("downtrend", "uptrend")
    ]
    by_champions = predictions[predictions["status"] != "baseline"]
    made_by, serving = (
        sorted(map(tuple, frame[[*members, "model_version"]].astype(str).to_numpy()))
        for frame in (by_champions, champions)
    )
    assert made_by == serving
    by_baseline = predictions[predictions["status"] == "baseline"]
    assert "YOUNG" in set(by_baseline["symbol"])
    assert set(built.table("missing_forecasts")["symbol"]) == {"BAD", "SHORT"}
    assert by_baseline["model_version"].isna().all()
    assert not by_baseline["signal"].any()
    assert predictions["probability"].between(0, 1).all()
    assert predictions["reference_probability"].between(0, 1).all()
    assert not predictions["synthetic"].any()


def test_a_command_lists_who_has_no_forecast_of_the_day_and_why(built):
    said = built.run("predict", "--date", BAR_DATE)
    assert said.returncode == 0, said.stderr
    assert "4 members without a forecast:" in said.stdout
    assert "BAD has no bars; `crypto-pool build` pulls them, or says why not" in said.stdout
    young = "SHORT: 40 usable bars up to 2023-06-30, at least 120 are needed (on 2023-09-18"
    assert young in said.stdout
    document = json.loads(built.run("predict", "--date", BAR_DATE, "--json").stdout)
    assert len(document["without_forecast"]) == 4


def test_stored_bars_are_not_truncated_for_an_older_bar_date(built):
    assert pd.to_datetime(built.table("daily_bars")["date"]).max() == pd.Timestamp("2023-07-31")


def test_nothing_trained_on_a_label_unknown_at_the_bar_date(built):
    through = pd.to_datetime(built.table("champions")["chosen_through"])
    assert (through <= pd.Timestamp(BAR_DATE) - pd.Timedelta(days=10)).all()


def test_the_same_build_again_changes_nothing(built):
    before = built.table("predictions")
    versions = built.table("champions")
    again = built.build_few(BAR_DATE)
    assert again.returncode == 1
    pd.testing.assert_frame_equal(comparable(built.table("predictions")), comparable(before))
    pd.testing.assert_frame_equal(built.table("champions"), versions)
    assert "scored" not in again.stderr


def test_failed_partitions_are_not_materialised_and_no_run_is_left(built):
    import dagster as dg

    with dg.DagsterInstance.from_config(str(built.home)) as instance:
        made = instance.get_materialized_partitions(dg.AssetKey("daily_bars"))
        assert made == {"AAA", "EEE", "YOUNG"}
        runs = instance.get_runs()
        assert all(run.is_finished for run in runs)
        assert {run.tags["crypto_pool/bar_date"] for run in runs} == {BAR_DATE}
    assert running_mlflow_runs(built) == 0


def test_a_champion_shows_in_dagster_the_judgement_that_mlflow_keeps(built):
    import dagster as dg

    champions = built.table("champions")
    with dg.DagsterInstance.from_config(str(built.home)) as instance:
        made = instance.fetch_materializations(dg.AssetKey("champion"), limit=20).records
        shown = {
            record.partition_key: metadata["calibration_roc_confusion"].value
            for record in made
            if "calibration_roc_confusion" in (metadata := record.asset_materialization.metadata)
        }
    assert set(shown) == set(champions["symbol"] + "|" + champions["trend"])
    for row in champions.to_dict("records"):
        (kept,) = built.data.rglob(f"mlflow/artifacts/*/{row['run_id']}/**/{JUDGEMENT_FILE}")
        says, _, encoded = shown[f"{row['symbol']}|{row['trend']}"].partition("base64,")
        assert f"version {row['model_version']}, {row['algorithm']}" in says
        assert base64.b64decode(encoded.rstrip(")")) == kept.read_bytes()


def test_candidates_hang_below_the_run_of_dagster_mlflow(built):
    with closing(sqlite3.connect(built.data / "mlflow" / "mlflow.db")) as store:
        parents = {row[0] for row in store.execute(
            "SELECT run_uuid FROM tags WHERE key = 'dagster_run_id'")}  # fmt: skip
        named = {row[0] for row in store.execute(
            "SELECT value FROM tags WHERE key = 'mlflow.parentRunId'")}  # fmt: skip
        experiments = {row[0] for row in store.execute("SELECT name FROM experiments")}
    assert ANOTHERS["MLFLOW_EXPERIMENT_NAME"] not in experiments
    assert named
    assert named <= parents


def test_another_source_is_refused_with_the_way_out_before_anything_runs(built):
    for command in ("build", "train", "predict"):
        refused = built.run(command, "--provider", "sandbox", "--date", BAR_DATE)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "CRYPTO_POOL_DATA_DIR" in refused.stderr
    assert set(built.table("predictions")["synthetic"]) == {False}


def test_features_travel_by_name(built):
    from crypto_pool.domain.features import feature_names

    features = built.table("predictions")["features"].iloc[0]
    assert tuple(dict(features)) == feature_names()


def test_importance_is_served_for_each_feature(built):
    importance = json.loads(built.table("champions")["feature_importance"].iloc[0])
    assert len(importance) == 19


def test_no_algorithm_serves_without_adding_anything_and_no_chart_is_of_zeros(built):
    for row in built.table("champions").to_dict("records"):
        assert any(json.loads(row["feature_importance"]).values()), row
        assert row["algorithm"] in BASELINES or row["added_points"] > 0, row


def test_query_refuses_to_write_and_a_wrong_date_is_one_message(built):
    refused = built.ask("query", "DROP TABLE predictions")
    assert refused.returncode == 2
    wrong = built.ask("predict", "--date", "30.6.2023")
    assert wrong.returncode == 2
    assert "YYYY-MM-DD" in wrong.stderr
    assert "Traceback" not in refused.stderr + wrong.stderr


def test_one_corrupt_coin_stops_no_other(built, tmp_path):
    victim = next((built.data / "parquet" / "daily_bars").glob("AAA*"))
    shutil.copy(victim, tmp_path / "good")
    victim.write_bytes(b"half a file")
    try:
        done = built.build_few(BAR_DATE, ["train"])
        assert done.returncode == 1
        assert "AAA|uptrend]: CorruptPartition" in done.stdout
        assert "EEE" not in "".join(s for s in done.stdout.splitlines() if "Corrupt" in s)
        looked = built.ask("doctor").stdout
        assert f"FAIL stored files: {victim} cannot be read" in looked
        assert looked.count("stored files") == 1
        assert "ok   champions: " in looked
    finally:
        shutil.copy(tmp_path / "good", victim)


def test_status_names_the_members_without_a_champion(built):
    shown = built.ask("status")
    assert shown.returncode == 0
    assert "SHORT_uptrend" in shown.stdout
    assert "AAA" in shown.stdout


def test_a_day_without_bars_is_a_named_failure(built):
    missing = built.run("predict", "--date", "2023-08-15", "--symbols", "AAA,EEE")
    assert missing.returncode == 1
    assert "MissingFeatures" in missing.stdout


def test_a_build_on_old_files_asks_for_their_last_day_before_it_trains(built):
    asked = built.ask("build")
    assert asked.returncode == ExitCode.WRONG_INPUT, asked.stdout + asked.stderr
    assert "give `--date 2023-07-31`" in " ".join(asked.stderr.split())
    assert "bars and features" not in asked.stdout


def test_a_backup_holds_all_that_a_pool_wrote_and_its_settings(built, new_pool, tmp_path):
    (built.home / "pool.toml").write_text("retrain_after_days = 44\n")
    saved = built.ask("backup", str(tmp_path / "pool.tar.gz"))
    assert saved.returncode == 0, saved.stderr
    with tarfile.open(tmp_path / "pool.tar.gz") as archive:
        held = set(archive.getnames())
    left_out = {name for name in written(built.home) if name not in held}
    assert {name for name in left_out if not name.endswith(PASSING)} == set()
    other = new_pool()
    assert other.ask("restore", str(tmp_path / "pool.tar.gz")).returncode == 0
    assert (other.home / "pool.toml").read_text() == "retrain_after_days = 44\n"


def test_a_pool_whose_coins_are_all_retired_publishes_and_fails_nothing(new_pool):
    pool = new_pool(with_stores=True, symbols="BTC,ETH")
    for symbol in ("BTC", "ETH"):
        first = date.fromisoformat(BAR_DATE)
        retire(FrameStore(str(pool.data / "parquet")), symbol, first, datetime.now(UTC))
    for command in (("build", "--date"), ("live", "--from")):
        done = pool.run(*command, BAR_DATE, *(("--to", BAR_DATE) if "live" in command else ()))
        assert done.returncode == 0, done.stdout + done.stderr
    assert (pool.data / LINK_NAME).exists()
