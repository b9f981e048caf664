"""Eight processes ask the sandbox server at once, within one request budget."""

import tempfile
import time
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import requests

from crypto_pool.adapters.rate_limit import RequestBudget
from crypto_pool.domain.request_plans import RequestPlan
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.sandbox.server import SandboxMarketServer, serving

PLAN = RequestPlan(per_second=5, per_minute=150, per_day=250)
PROCESSES = 8
SECONDS = 40.0
PATIENCE_SECONDS = 300
WINDOWS = {1.0: PLAN.per_second, 60.0: PLAN.per_minute, 86_400.0: PLAN.per_day}


def run(seconds: float = SECONDS) -> dict[str, Any]:
    """Give the windows over a limit and the throughput as a share of what the limits allow."""
    market = SandboxMarketServer(SyntheticMarket().bars, PLAN, window=100)
    with tempfile.TemporaryDirectory() as folder, serving(market) as address:
        budget = Path(folder)
        RequestBudget(budget, PLAN).close()
        context = get_context("spawn")
        ready = context.Barrier(PROCESSES)  # nobody asks before all have imported
        askers = [
            context.Process(target=_ask, args=(address, budget, ready, seconds))
            for _ in range(PROCESSES)
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    arrivals = sorted(arrival.arrived_at for arrival in market.arrivals)
    return {
        "processes": PROCESSES,
        "seconds": seconds,
        "requests": len(arrivals),
        "refused_by_server": sum(arrival.outcome != "answered" for arrival in market.arrivals),
        "windows_over_limit": sum(
            _windows_over(arrivals, window, limit)
            for window, limit in WINDOWS.items()
            if limit is not None
        ),
        "throughput_ratio": round(_throughput(arrivals, seconds), 3),
    }


def _throughput(arrivals: list[float], seconds: float) -> float:
    """Arrivals as a share of what the limits allow, while the stricter of the two binds.

    The limit of a second binds until the minute's requests are used up; what comes after is
    waiting that the plan demands, and counts for nothing.
    """
    assert PLAN.per_second is not None
    assert PLAN.per_minute is not None
    paced = min(seconds, PLAN.per_minute / PLAN.per_second)
    in_time = sum(arrival < arrivals[0] + paced for arrival in arrivals)
    return in_time / (PLAN.per_second * paced)


def _windows_over(arrivals: list[float], window: float, limit: int) -> int:
    """How many windows that begin at an arrival hold more than the limit."""
    return sum(
        later - first < window for first, later in zip(arrivals, arrivals[limit:], strict=False)
    )


def _ask(address: str, folder: Path, ready: Barrier, seconds: float) -> None:
    """Ask as fast as the budget admits, from when all are ready, for so many seconds."""
    budget = RequestBudget(folder, PLAN, now=lambda: datetime.now(UTC))
    with requests.Session() as session:
        session.trust_env = False
        parameters = {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "USD"}
        ready.wait(PATIENCE_SECONDS)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with budget.request():
                response = session.get(address, params={**parameters, "apikey": "k"}, timeout=30)
            response.raise_for_status()
