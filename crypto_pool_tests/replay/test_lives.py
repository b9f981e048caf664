"""Lives that are long enough for the pool's rules to act, and one lived by the live pool too."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.promotion import PromotionRules
from crypto_pool.domain.served_model import BASELINES, REFERENCE_LOGIT, ServedModel
from crypto_pool.domain.staleness import RetrainRules
from crypto_pool.domain.tables import OUTCOMES, PREDICTIONS
from crypto_pool.replay.life import live_together
from crypto_pool_tests.conftest import PoolFolder
from crypto_pool_tests.replay.lives import (
    FEW,
    PREDICTABILITY,
    START,
    lived_through,
    make_life,
    synthetic_bars,
)

# Trains as the pool does, with fewer algorithms for time's sake alone.
LIVE = """
import sys
from dataclasses import replace
from crypto_pool import living
from crypto_pool.defs.stages import TRAINING
from crypto_pool.cli import app

run_layer, algorithms = living.run_layer, sys.argv.pop().split(",")
few = [*(f"candidates/{name}" for name in algorithms), "champion"]

def train_few(instance, work, report):
    trains = work.stage == TRAINING
    return run_layer(instance, replace(work, assets=few) if trains else work, report)

living.run_layer = train_few
app()
"""
DECIDED = ["as_of", "decision", "reason", "model_version", "serving_version", "algorithm"]
SAID = ["status", "abstain_reason", "signal", "algorithm", "model_version", "in_sample", "late"]
FORECAST = ["probability", "reference_probability", "panel_probability", "decision_threshold"]


@pytest.mark.long
def test_a_replay_decides_and_forecasts_as_the_live_pool(
    new_pool: Callable[..., PoolFolder], tmp_path: Path
) -> None:
    """Forty days of two coins, by Dagster and MLflow and by the replay over the same bars."""
    end = START + timedelta(days=39)
    pool = new_pool(
        symbols="BTC,ETH",
        training_rows="300",
        evaluation_policy="purged_walk_forward",
        sandbox_predictability=str(PREDICTABILITY),
        simulated_now=f"{end + timedelta(days=1)}T12:00:00",
        first_prediction_date=f"{START}",
    )
    dates = ("--from", f"{START}", "--to", f"{end}", "--retrain-every-days", "30")
    done = pool.run_code(LIVE, "live", *dates, ",".join(FEW))
    assert done.returncode == 0, done.stdout + done.stderr
    bars = synthetic_bars(("BTC", "ETH"), end + timedelta(days=10))
    life = make_life(tmp_path, end, bars, retrain_every_days=30)
    for _ in live_together([life]):
        pass
    assert life.failures == {}
    store = FrameStore(str(pool.data / "parquet"))
    live, replayed = Ledger(store).by_member(), life.decisions()
    assert set(live) == set(replayed) == set(life.members)
    for member in life.members:
        pd.testing.assert_frame_equal(live[member][DECIDED], replayed[member][DECIDED])
    key = list(PREDICTIONS.key)
    theirs, ours = (
        one.read_all(PREDICTIONS.store_name).set_index(key).sort_index()
        for one in (store, life.store)
    )
    assert len(ours) == 4 * 40
    pd.testing.assert_frame_equal(theirs[SAID], ours[SAID])
    pd.testing.assert_frame_equal(theirs[FORECAST], ours[FORECAST], rtol=0, atol=1e-9)
    came = [one.read_all(OUTCOMES.store_name).set_index(key) for one in (store, life.store)]
    pd.testing.assert_series_equal(*(one["outcome"].sort_index() for one in came))


class Contrary(ServedModel):
    """Says the opposite of the reference, and is sure of it."""

    def predict_probability(self, rows: pd.DataFrame) -> np.ndarray:
        return np.where(rows[REFERENCE_LOGIT] > 0, 0.01, 0.99)


@pytest.mark.long
def test_a_bad_champion_is_quarantined_and_its_member_goes_on_by_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, bad = START + timedelta(days=159), Member("BTC", Trend.UPTREND)
    life = make_life(
        tmp_path,
        end,
        synthetic_bars(("BTC",), end + timedelta(days=10), predictability=0.0),
        algorithms=("RidgeClassifier",),
        promotion=PromotionRules(refresh_after_days=10_000),
        retrain=RetrainRules(1000, 1000, drift_limit=1.0),
    )
    load = life.registry.versions.load

    def plant(name: str, version: str, hashes: object = None) -> ServedModel:
        model = load(name, version)
        return Contrary(**vars(model)) if (name, version) == (bad.name, "1") else model

    monkeypatch.setattr(life.registry.versions, "load", plant)
    lived_through(life)
    ledger = life.decisions()[bad]
    caught = ledger[ledger["decision"] == "quarantined"].iloc[0]
    assert caught["model_version"] == "1"
    assert START + timedelta(days=110) <= caught["as_of"] < end
    assert "worse than the reference" in caught["reason"]
    after = ledger[ledger["decision"].isin(["replaced", "stood down"])].iloc[0]
    assert "cannot serve: it is quarantined" in after["reason"]
    rows = life.store.read_all(PREDICTIONS.store_name)
    mine = rows[(rows["symbol"] == "BTC") & (rows["trend"] == "uptrend")]
    between = mine[mine["prediction_date"].between(caught["as_of"], _before(after["as_of"]))]
    assert set(between["status"]) <= {"abstain"}
    assert not between["signal"].any()
    later = mine[mine["prediction_date"] >= after["as_of"]]
    assert set(later["algorithm"]) <= set(BASELINES)
    assert len(later) == (end - after["as_of"]).days + 1
    other = life.decisions()[Member("BTC", Trend.DOWNTREND)]
    assert "quarantined" not in set(other["decision"])


def _before(day: date) -> date:
    return day - timedelta(days=1)
