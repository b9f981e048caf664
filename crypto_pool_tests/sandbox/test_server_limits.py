"""The sandbox's server keeps the limits of its plan."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from crypto_pool.domain.request_plans import RequestPlan
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.sandbox.server import SandboxMarketServer, serving
from crypto_pool_tests.adapters.spent_requests import NOON
from crypto_pool_tests.conftest import PATIENCE_SECONDS


@pytest.mark.parametrize(
    ("plan", "notice"),
    [
        (RequestPlan(per_second=2), "(2 request per second)"),
        (RequestPlan(per_minute=2), "2 calls per minute"),
        (RequestPlan(per_day=2), "2 requests per day"),
    ],
)
def test_the_server_keeps_its_own_limits(plan: RequestPlan, notice: str) -> None:
    asked = {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "USD", "apikey": "k"}

    def ask(url: str) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(url, params=asked, timeout=PATIENCE_SECONDS)

    market = SandboxMarketServer(SyntheticMarket().bars, plan, lambda: NOON)
    with serving(market) as url, ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(ask, [url] * 3))
    assert {answer.status_code for answer in answers} == {200}
    (refused,) = [answer for answer in answers if "Meta Data" not in answer.json()]
    assert notice in refused.text
