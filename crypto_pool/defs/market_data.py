"""The source of bars that the settings name."""

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from crypto_pool.adapters.providers import PROVIDERS, MarketDataProvider
from crypto_pool.domain.addresses import without_credentials
from crypto_pool.domain.request_plans import UNLIMITED, read_plan
from crypto_pool.errors import InvalidSetting
from crypto_pool.settings import Settings

if TYPE_CHECKING:
    from crypto_pool.adapters.rate_limit import RequestBudget


def build_provider(settings: Settings) -> MarketDataProvider:
    """Give the provider; raises InvalidSetting."""
    builders = {
        "sandbox": _sandbox,
        "directory": _directory,
        "alpha_vantage": _alpha_vantage,
        "exchange": _exchange,
    }
    if settings.provider in PROVIDERS:
        return PROVIDERS[settings.provider].of(settings)
    return builders[settings.provider](settings)


def own_source(settings: Settings) -> str:
    """Give the source of the pool's bars; raises ProviderMismatch where it holds another's."""
    from crypto_pool.adapters.frame_store import FrameStore

    source = build_provider(settings).source
    for root in (str(settings.state_dir), settings.frames_root):
        FrameStore(root).require_source(source)
    return source


def request_budget(settings: Settings) -> "RequestBudget | None":
    """The budget of the key, by a hash of it; None where no key's requests are counted.

    A simulated clock has a budget of its own: its days are no days of the key's.
    """
    if settings.provider != "alpha_vantage" or settings.alpha_vantage_api_key is None:
        return None
    from crypto_pool.adapters.rate_limit import PATIENCE, RequestBudget

    key = settings.alpha_vantage_api_key.get_secret_value()
    home = settings.request_budget_dir or Path(os.path.expanduser("~/.crypto_pool/request_budget"))
    if not home.is_absolute() and settings.request_budget_dir is None:
        raise InvalidSetting(
            "no home folder is known, where the requests of a key are counted: set HOME, or "
            "CRYPTO_POOL_REQUEST_BUDGET_DIR"
        )
    folder = home / hashlib.sha256(key.encode()).hexdigest()[:12]
    if settings.is_clock_simulated:
        folder /= "simulated"
    # Nothing becomes free by waiting for a clock that stands still.
    patience = timedelta(0) if settings.is_clock_simulated else PATIENCE
    return RequestBudget(
        folder, read_plan(settings.alpha_vantage_plan), now=settings.now, patience=patience
    )


def _directory(settings: Settings) -> MarketDataProvider:
    from crypto_pool.adapters.providers.directory import DirectoryProvider

    assert settings.market_data_dir is not None
    return DirectoryProvider(settings.market_data_dir)


def _exchange(settings: Settings) -> MarketDataProvider:
    from crypto_pool.adapters.providers.exchange import ExchangeProvider

    return ExchangeProvider(
        exchange=settings.exchange,
        quote_currency=settings.quote_currency,
        base_url=settings.exchange_url,
    )


def _sandbox(settings: Settings) -> MarketDataProvider:
    """The synthetic market: over HTTP where its server runs, else in this process."""
    from crypto_pool.adapters.providers.sandbox import SandboxProvider

    within = SandboxProvider(settings.synthetic_market())
    if settings.sandbox_url is None:
        return within
    from pydantic import SecretStr

    from crypto_pool.adapters.providers.alpha_vantage import AlphaVantage
    from crypto_pool.adapters.rate_limit import RequestBudget
    from crypto_pool.adapters.response_cache import ResponseCache

    return AlphaVantage(
        settings.sandbox_url,
        SecretStr("sandbox"),
        RequestBudget(settings.state_dir / "sandbox_budget", UNLIMITED, now=settings.now),
        ResponseCache(settings.state_dir / "raw_answers", within.source, settings.now),
        time_period=settings.time_period,
        series_type=settings.series_type,
        synthetic=True,
    )


def _alpha_vantage(settings: Settings) -> MarketDataProvider:
    from crypto_pool.adapters.providers.alpha_vantage import AlphaVantage
    from crypto_pool.adapters.response_cache import ResponseCache

    key, budget = settings.alpha_vantage_api_key, request_budget(settings)
    if key is None or budget is None:
        raise InvalidSetting(
            "the alpha_vantage provider needs CRYPTO_POOL_ALPHA_VANTAGE_API_KEY; "
            "get a free key at www.alphavantage.co"
        )
    base_url = settings.alpha_vantage_base_url
    standard = base_url == ALPHA_VANTAGE
    source = "alpha_vantage" if standard else f"alpha_vantage:at={without_credentials(base_url)}"
    return AlphaVantage(
        base_url,
        key,
        budget,
        ResponseCache(settings.state_dir / "raw_answers", source, settings.now),
        time_period=settings.time_period,
        series_type=settings.series_type,
    )


ALPHA_VANTAGE = str(Settings.model_fields["alpha_vantage_base_url"].default)
