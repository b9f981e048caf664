"""The last step of a run: it fails with the list of what did not come through."""

import dagster as dg

from crypto_pool.defs.batches import pending_failures
from crypto_pool.defs.stages import STAGES, asset_keys
from crypto_pool.errors import MembersFailed

# All that a stage makes but the copies in MLflow, whose failing holds up no day.
ISOLATED = asset_keys(
    dict.fromkeys(
        name for stage in STAGES for name in (*stage.assets, *stage.ending) if name != "panel_model"
    )
)


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
