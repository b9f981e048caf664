"""Which days a run may forecast."""

import dagster as dg

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.defs.assets.predictions import daily_predictions
from crypto_pool.defs.batches import SucceededIOManager, recorded_failures
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.tables import MISSING_FORECASTS

CLOSED, OPEN = "2023-05-11", "2023-05-12"


def test_a_day_that_has_not_closed_is_named_and_leaves_nothing(data, monkeypatch):
    """Dagster takes any day to come where a person writes it, and the clock may be set back."""
    monkeypatch.setenv("CRYPTO_POOL_SIMULATED_NOW", f"{OPEN}T12:00:00")
    monkeypatch.setenv("CRYPTO_POOL_SYMBOLS", "BTC")
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [daily_predictions],
            resources={
                "pool": PoolResource(bar_date="", only=[]),
                "succeeded": SucceededIOManager(),
            },
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": CLOSED,
                "dagster/asset_partition_range_end": OPEN,
            },
        )
        failures = recorded_failures(instance, done.run_id)
    assert list(map(str, failures)) == [
        f"daily_predictions [{OPEN}]: InvalidSetting: partition {OPEN} is not closed yet; the "
        f"latest closed day is {CLOSED}."
    ]
    assert FrameStore(str(data / "parquet")).keys(MISSING_FORECASTS.store_name) == [CLOSED]
