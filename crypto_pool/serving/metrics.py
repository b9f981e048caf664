"""What Prometheus scrapes: requests, and the pool as it is published."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto_pool.errors import QueryError
from crypto_pool.serving.publication_reader import PublicationReader
from crypto_pool.serving.schemas import value_at

PREFIX = "crypto_pool_"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


GAUGES = (
    ("probability", "Latest forecast of the member.", "forecast.prediction_probabilities"),
    ("reference_probability", "A random walk's for that day.", "forecast.reference_probability"),
    ("age_days", "Closed days since the bar of the latest forecast.", "forecast.age_days"),
    ("realised_precision", "Share of live signals that came true.", "record.realised_precision"),
)
"""Name, meaning, and where in the state of a member it is."""


class PoolMetrics(Collector):
    """Gauges of the latest publication, read when they are scraped."""

    def __init__(self, reader: PublicationReader) -> None:
        self._reader = reader

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; none of the pool's while nothing is published."""
        fault = float(self._reader.fault is not None)
        text = "1 if the newest publication could not be read."
        yield GaugeMetricFamily(f"{PREFIX}publication_fault", text, value=fault)
        try:
            state = self._reader.state()
        except QueryError:
            return
        published = state.published_at_utc.timestamp()
        text = "When the served file was published."
        yield GaugeMetricFamily(f"{PREFIX}published_timestamp_seconds", text, value=published)
        for name, text, path in GAUGES:
            gauge = GaugeMetricFamily(f"{PREFIX}{name}", text, labels=["symbol", "trend"])
            for member in state.members:
                value = value_at(member, path)
                if value is not None:
                    gauge.add_metric([member.symbol, member.trend_type.value], value)
            yield gauge


class Measured:
    """Counts and times each request under its route, so that labels stay few."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry, routes: frozenset[str]) -> None:
        self._app = app
        self._routes = routes
        self._seconds = Histogram(
            f"{PREFIX}http_request_seconds",
            "Time to the end of the answer, by route.",
            ["route"],
            buckets=BUCKETS,
            registry=registry,
        )
        text = "Answers by route and status."
        labels = ["route", "status"]
        self._requests = Counter(f"{PREFIX}http_requests", text, labels, registry=registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and observe its answer."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        status = 500
        begun = time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            route = self._route(scope)
            self._seconds.labels(route).observe(time.perf_counter() - begun)
            self._requests.labels(route, status).inc()

    def _route(self, scope: Scope) -> str:
        if scope["path"] in self._routes:
            return str(scope["path"])
        return getattr(scope.get("route"), "path", "other")
