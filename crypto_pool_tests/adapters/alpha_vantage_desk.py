"""A client of Alpha Vantage on a server of its own, with a clock that a test moves."""

from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from crypto_pool.adapters.providers.alpha_vantage import AlphaVantage
from crypto_pool.adapters.rate_limit import RequestBudget
from crypto_pool.adapters.response_cache import ResponseCache
from crypto_pool.domain.request_plans import UNLIMITED, RequestPlan
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.sandbox.server import SandboxMarketServer

CANARY = "CANARYKEY0123456"
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


class Desk:
    """A server, a clock and a client on them."""

    def __init__(self, folder: Path, plan: RequestPlan = UNLIMITED) -> None:
        self.folder, self.plan, self.time = folder, plan, NOON
        self.server = SandboxMarketServer(SyntheticMarket().bars, UNLIMITED, lambda: self.time)
        self.slept: list[float] = []
        self.url = ""
        self.silence_seconds = 30.0

    def client(self) -> AlphaVantage:
        return AlphaVantage(
            self.url,
            SecretStr(CANARY),
            RequestBudget(self.folder / "budget", self.plan, now=lambda: self.time),
            ResponseCache(self.folder / "raw_answers", "alpha_vantage", lambda: self.time),
            silence_seconds=self.silence_seconds,
            sleep=self.slept.append,
        )
