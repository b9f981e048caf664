"""A feature of my own."""

import pandas as pd

from crypto_pool.domain.features import Feature


def _volume_surprise(bars: pd.DataFrame, indicators: pd.DataFrame) -> pd.Series:
    return bars["volume"] / bars["volume"].rolling(20).mean()


feature = Feature("volume_surprise", _volume_surprise)
