"""The last step of a run: it fails with the list of what did not come through."""

import dagster as dg

from crypto_pool.defs.assets.features import feature_table
from crypto_pool.defs.assets.models import candidate_key, champion
from crypto_pool.defs.assets.outcomes import prediction_outcomes, realised_performance
from crypto_pool.defs.assets.panel import panel_forecasts
from crypto_pool.defs.assets.predictions import daily_predictions
from crypto_pool.defs.assets.publication import prediction_tables
from crypto_pool.defs.assets.raw import daily_bars, raw_indicators
from crypto_pool.defs.batches import pending_failures
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.errors import MembersFailed

ISOLATED = [
    *(asset.key for asset in (daily_bars, raw_indicators, feature_table, panel_forecasts)),
    *(candidate_key(name) for name in CANDIDATES),
    *(asset.key for asset in (champion, daily_predictions, prediction_outcomes)),
    *(asset.key for asset in (realised_performance, prediction_tables)),
]


def every_partition_processed(key: dg.AssetKey) -> dg.AssetChecksDefinition:
    """A check of one asset that raises if any partition of this run's batch failed.

    It blocks nothing: the layers after it run for the partitions that came through, and the
    run is still marked as failed. A run that executes a failed one again answers for what that
    one left undone.
    """

    @dg.asset_check(
        asset=key,
        name="every_partition_processed",
        description="All of the batch came through. Else the run fails and names the rest: mend "
        "what is said of them, and execute it again.",
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        failures = pending_failures(context.instance, context.run, key)
        if failures:
            raise MembersFailed(f"{len(failures)} failed:\n" + "\n".join(map(str, failures)))
        return dg.AssetCheckResult(passed=True)

    return check


checks = [every_partition_processed(key) for key in ISOLATED]
