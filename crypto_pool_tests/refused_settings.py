"""Settings that are to be refused."""

import pytest

from crypto_pool.errors import InvalidSetting
from crypto_pool.settings import load_settings


def refused(monkeypatch, **values):
    """What is said of these settings."""
    for name, value in values.items():
        monkeypatch.setenv(f"CRYPTO_POOL_{name.upper()}", value)
    load_settings.cache_clear()
    with pytest.raises(InvalidSetting) as caught:
        load_settings()
    return str(caught.value)
