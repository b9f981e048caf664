"""The steps of a member's life, each one call: what an asset runs, without Dagster."""
