"""The HTTP API and the pool's pages: they answer from the latest published DuckDB file."""
