"""A self-running pool of crypto trend forecasters on Dagster, MLflow and DuckDB."""

__version__ = "0.1.0"
