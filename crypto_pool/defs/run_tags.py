"""Tags of runs: Dagster's own for the partitions, and the pool's. Reads no settings."""

PARTITION = "dagster/partition"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

PROCESS_TAG = "crypto_pool/process"
BAR_DATE_TAG = "crypto_pool/bar_date"
ASKED_BY_TAG = "crypto_pool/asked_by"
