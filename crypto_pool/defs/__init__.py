"""All the Dagster code: partitions, resources, assets, checks and automation."""
