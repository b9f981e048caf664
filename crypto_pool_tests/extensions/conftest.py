import sys
from collections.abc import Iterator

import pandas as pd
import pytest

from crypto_pool.adapters import extensions
from crypto_pool.adapters.alerts import CHANNELS
from crypto_pool.adapters.extensions import Extensions
from crypto_pool.adapters.providers import PROVIDERS
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.features import FEATURES
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool_tests.extensions.loading import LAST


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """What a test loads is gone behind it."""
    tables = (CANDIDATES, FEATURES, PROVIDERS, CHANNELS)
    kept, modules, path = [dict(table) for table in tables], set(sys.modules), list(sys.path)
    extensions._load.cache_clear()
    yield
    for table, before in zip(tables, kept, strict=True):
        table.clear()
        table.update(before)
    for name in set(sys.modules) - modules:
        if name.startswith("my_"):
            del sys.modules[name]
    sys.path[:] = path
    extensions._load.cache_clear()
    Extensions().load()


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return SyntheticMarket(seed=3, predictability=0.5).bars("BTC", LAST).tail(600)
