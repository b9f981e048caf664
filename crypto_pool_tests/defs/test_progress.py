"""Each member a batch is done with counts in its progress, whatever became of it.

And each run that is logged of one, its baseline's too, says whose it is and of which market.
"""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import dagster as dg
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.defs.assets.models import candidate_key, candidates, champion
from crypto_pool.defs.batches import SucceededIOManager
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.settings import load_settings

AS_OF = date(2022, 6, 1)


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """A coin, and of two candidates one whose fit fails."""
    for name, value in {
        "CRYPTO_POOL_DATA_DIR": str(tmp_path / "data"),
        "CRYPTO_POOL_PROVIDER": "sandbox",
        "CRYPTO_POOL_TRAINING_ROWS": "300",
        "CRYPTO_POOL_WORKERS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    failing = replace(CANDIDATES["KNeighbors"], build=lambda *_: 1 / 0)
    monkeypatch.setitem(CANDIDATES, "KNeighbors", failing)
    load_settings.cache_clear()
    made = PoolResource(bar_date=AS_OF.isoformat())
    bars = SyntheticMarket(seed=3, predictability=0.5).bars("BTC", AS_OF)
    features = build_features(compute_indicators(bars))
    made.store.write("daily_bars", "BTC", bars)
    made.store.write("feature_table", "BTC", features)
    yield made
    load_settings.cache_clear()


def test_a_failed_candidate_and_every_champion_count_and_a_baseline_is_logged_too(pool):
    parent = SimpleNamespace(info=SimpleNamespace(run_id="parent"))
    resources = {
        "pool": pool,
        "mlflow": dg.ResourceDefinition.hardcoded_resource(
            SimpleNamespace(active_run=lambda: parent)
        ),
        "succeeded": SucceededIOManager(),
    }
    chosen = [candidate_key("LightGBM"), candidate_key("KNeighbors")]
    progress = []
    for asset, keys in ((candidates, chosen), (champion, [champion.key])):
        with dg.DagsterInstance.ephemeral() as instance:
            done = dg.materialize(
                [asset],
                instance=instance,
                resources=resources,
                selection=keys,
                partition_key=dg.MultiPartitionKey({"symbol": "BTC", "trend": "uptrend"}),
            )
            said = [entry.user_message for entry in instance.all_logs(done.run_id)]
        progress += [line for line in said if line[:2] in ("1/", "2/")]
    assert progress[0].startswith("1/2 BTC_uptrend ")
    assert progress[1].startswith("2/2 BTC_uptrend ")
    assert sorted(line.split(" ", 2)[2] for line in progress[:2]) == [
        "KNeighbors: failed",
        "LightGBM: scored",
    ]
    assert [line.split(":")[0] for line in progress[2:]] == ["1/1 BTC_uptrend champion"]
    store = FrameStore(pool.settings.frames_root)
    assert store.keys("candidate_scores") == ["BTC|uptrend"]
    assert list(store.read("candidate_scores", "BTC|uptrend")["algorithm"]) == ["LightGBM"]
    stored = pool.registry.client
    ids = [stored.get_experiment_by_name("BTC_uptrend").experiment_id]
    tags = {run.data.tags["algorithm"]: run.data.tags for run in stored.search_runs(ids)}
    assert set(tags) == {"LightGBM", "RandomWalk"}
    for algorithm, of in tags.items():
        assert (of["synthetic"], of["mlflow.parentRunId"]) == ("true", "parent"), algorithm
