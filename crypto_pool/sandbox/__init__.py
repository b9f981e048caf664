"""The synthetic market, for trying the pool without real data."""
