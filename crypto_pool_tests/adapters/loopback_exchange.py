"""An exchange on loopback, and the bars that it has."""

from datetime import date

from crypto_pool.adapters.providers.exchange import ExchangeProvider
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool_tests.conftest import PATIENCE_SECONDS

LAST = date(2023, 6, 30)
MARKET = SyntheticMarket()


def provider(url: str, **settings: object) -> ExchangeProvider:
    return ExchangeProvider(
        base_url=url, retry_delay_seconds=0.01, timeout_seconds=PATIENCE_SECONDS, **settings
    )
