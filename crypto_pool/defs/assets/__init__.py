"""The assets of the pool, one module a group."""
