"""Tags of runs: Dagster's own for the partitions, and the pool's. Reads no settings."""

from collections.abc import Sequence

PARTITION = "dagster/partition"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

# Of a run made by a command; Dagster shows nobody tags that begin so.
PROCESS_TAG = ".dagster/crypto_pool_process"
PROCESS_TAG_OF_1_0 = "crypto_pool/process"
BAR_DATE_TAG = "crypto_pool/bar_date"
ASKED_BY_TAG = "crypto_pool/asked_by"


def partition_range(ordered: Sequence[str]) -> dict[str, str]:
    """Tags of the smallest range that holds these partitions; `only` cuts it to size."""
    if not ordered:
        return {}
    return {RANGE_START: ordered[0], RANGE_END: ordered[-1]}
