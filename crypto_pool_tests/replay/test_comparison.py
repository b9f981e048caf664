"""A pool with a candidate or a feature beside one without: what it adds, and how surely."""

import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.providers.sandbox import SandboxProvider
from crypto_pool.domain.candidates import CANDIDATES, Candidate
from crypto_pool.domain.features import FEATURES, Feature
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.tables import PREDICTIONS
from crypto_pool.errors import InvalidSetting
from crypto_pool.replay.comparison import Comparison, gain_of, verdict_of_gain
from crypto_pool.replay.market import Market
from crypto_pool.replay.plan import ReplayPlan
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool_tests.conftest import PoolFolder
from crypto_pool_tests.replay.lives import FEW, START, synthetic_bars

DAYS = pd.date_range("2023-01-01", periods=200)


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    candidates, features = dict(CANDIDATES), dict(FEATURES)
    yield
    for table, before in ((CANDIDATES, candidates), (FEATURES, features)):
        table.clear()
        table.update(before)


def forecasts(skill: float, days: pd.DatetimeIndex = DAYS) -> pd.DataFrame:
    """Forecasts of two coins, which go from noise to what comes as `skill` goes from 0 to 1."""
    random = np.random.default_rng(5)
    truth = np.repeat(random.uniform(0.1, 0.9, -(-len(days) // 10)), 10)[: len(days)]
    parts = []
    for symbol in ("BTC", "ETH"):
        outcome = (random.random(len(days)) < truth).astype(float)
        noise = np.random.default_rng(6 + round(100 * skill)).normal(0.5, 0.05, len(days))
        parts.append(
            pd.DataFrame(
                {
                    "prediction_date": days,
                    "symbol": symbol,
                    "trend": "uptrend",
                    "probability": skill * truth + (1 - skill) * noise,
                    "outcome": outcome,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("with_it", "without", "verdict"),
    [(0.9, 0.1, "better"), (0.1, 0.9, "worse"), (0.5, 0.5, "cannot be told")],
)
def test_the_interval_of_paired_losses_says_whether_it_adds(with_it, without, verdict):
    gain, days = gain_of(forecasts(with_it), forecasts(without), horizon=10)
    assert days == 200
    assert verdict_of_gain(gain) == verdict
    if verdict == "better":
        assert 0 < gain.low < gain.value < gain.high


def test_few_days_tell_nothing(tmp_path):
    few = DAYS[:149]
    gain, days = gain_of(forecasts(0.9, few), forecasts(0.1, few), horizon=10)
    assert (days, gain.low) == (149, None)
    assert gain.value > 0
    assert verdict_of_gain(gain) == "cannot be told"
    assert gain_of(pd.DataFrame(), forecasts(0.1), 10)[1] == 0


def logistic(balance, seed):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1))


def made(
    kind: str, name: str, folder: Path, days: int, beside: tuple[str, ...], **recipe: object
) -> Comparison:
    """A comparison on two coins of a synthetic market that was trained once."""
    market = SyntheticMarket(predictability=0.6)
    plan = ReplayPlan(
        START,
        START + timedelta(days=days),
        retrain_every_days=100,
        algorithms=beside,
        recipe=Recipe(training_rows=300, **recipe),
    )
    bars = synthetic_bars(("BTC", "ETH"), plan.scored_through)
    pool = Market.of(bars, plan.recipe, plan.scored_through)
    return Comparison(kind, name, plan, pool, SandboxProvider(market), folder, 1)


def fits(folder: Path) -> list[str]:
    return sorted(path.parent.name.partition("-")[0] for path in folder.rglob("candidate.json"))


def test_both_pools_live_by_the_same_fits_but_for_the_candidate(tmp_path):
    CANDIDATES["Mine"] = Candidate("Mine", logistic, code="0123")
    found = made(
        "candidate", "Mine", tmp_path, 2, FEW, evaluation_policy="holdout", selection="best"
    )
    lived = [label for label, _ in found.live()]
    assert lived == ["with"] * 3 + ["without"] * 3
    assert "Mine" in CANDIDATES
    assert fits(tmp_path).count("Mine") == 4
    assert fits(tmp_path).count("KNeighbors") == 4
    rows = {k: one.store.read_all(PREDICTIONS.store_name) for k, one in found.lives.items()}
    assert "Mine" not in set(rows["without"]["algorithm"])
    report = json.loads(json.dumps(found.report(), allow_nan=False))
    assert report["failures"] == []
    served = (rows["with"]["algorithm"] == "Mine") & (rows["with"]["status"] == "active")
    assert report["forecasts_served"] == served.sum()
    assert (report["champions_won"] > 0) == bool(served.any())
    assert (report["verdict"], report["days"], report["days_needed"]) == ("cannot be told", 3, 150)


def test_a_feature_is_left_out_of_one_pool_alone(tmp_path):
    FEATURES["mine"] = Feature("mine", lambda bars, _: bars["close"].pct_change(), code="0123")
    found = made("feature", "mine", tmp_path, 1, ("KNeighbors",), evaluation_policy="holdout")
    for _ in found.live():
        pass
    assert found.report()["failures"] == []
    columns = {k: set(one.market.features["BTC"].columns) for k, one in found.lives.items()}
    assert columns["with"] - columns["without"] == {"mine"}


def test_what_is_not_known_is_refused_with_what_is(tmp_path):
    with pytest.raises(InvalidSetting, match="candidate Oracle: known are RandomForest"):
        made("candidate", "Oracle", tmp_path, 2, FEW)
    with pytest.raises(InvalidSetting, match="feature mine: known are none"):
        made("feature", "mine", tmp_path, 2, FEW)


@pytest.mark.campaign
def test_the_command_tells_skill_from_noise(
    new_pool: Callable[..., PoolFolder], tmp_path: Path
) -> None:
    """A candidate of what the market has planted beyond the panel's reach, and one of noise.

    A feature shows both pools the momentum that the drift follows with a delay.
    """
    pool = new_pool(
        training_rows="600",
        evaluation_policy="purged_walk_forward",
        market_data_dir=str(tmp_path),
        extensions="my_pair",
    )
    (pool.home / "my_pair.py").write_text(PAIR)
    market = SyntheticMarket(predictability=1.0, constant_volatility=True, delay_days=15)
    for symbol in ("BTC", "ETH"):
        market.bars(symbol, date(2023, 8, 31)).to_csv(tmp_path / f"{symbol}.csv")
    verdicts = {}
    for name, beside in (("Skilled", "Noise"), ("Noise", "Skilled")):
        done = pool.run(
            "compare", "--candidate", name, "--from", "2023-02-01", "--to", "2023-07-11",
            "--symbols", "BTC,ETH", "--provider", "directory", "--algorithms", beside,
            "--retrain-every-days", "200", "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "with it, days" in done.stderr
        found = json.loads(done.stdout)
        verdicts[name] = found["verdict"], found["champions_won"] > 0
    assert verdicts == {"Skilled": ("better", True), "Noise": ("cannot be told", False)}


PAIR = """
import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from crypto_pool.domain.candidates import Candidate
from crypto_pool.domain.features import Feature

def _delayed(bars, indicators):
    logs = np.log(bars["close"])
    return (logs.diff(10) - logs.diff(60) / 6).shift(13)

def _skilled(balance, seed):
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1))

def _noise(balance, seed):
    return DummyClassifier(strategy="stratified", random_state=seed)

delayed = Feature("delayed_momentum", _delayed)
skilled = Candidate("Skilled", _skilled)
noise = Candidate("Noise", _noise)
"""
