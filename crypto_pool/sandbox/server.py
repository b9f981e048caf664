"""A local HTTP server that answers as Alpha Vantage does, limits and faults included.

`GET /query?function=...&apikey=...` is Alpha Vantage's. Tests and drills hold the server in their
own process: they read `arrivals`, append to `switched` and set `now`.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from crypto_pool.domain.request_plans import SECONDS_PER_DAY, SECONDS_PER_MINUTE, RequestPlan
from crypto_pool.errors import UnknownSymbol
from crypto_pool.sandbox import answers
from crypto_pool.sandbox.faults import MINUTE, NOTICES, Fault, SwitchedFault

_DRIP_SECONDS = 0.05


@dataclass(frozen=True)
class Arrival:
    """One request as it came in; the key itself is not kept."""

    arrived_at: float
    function: str
    symbol: str
    outcome: str


@dataclass
class SandboxMarketServer:
    """What the handler answers from; safe for many threads.

    `api_key` empty accepts any key. The limits of a second and a minute are kept by the
    machine's clock, the day's by `now`.
    """

    bars: answers.Bars
    plan: RequestPlan
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    window: int | None = answers.REAL_WINDOW
    api_key: str = ""
    retry_after: str | None = "60"
    error_status: int = 503
    arrivals: list[Arrival] = field(default_factory=list)
    switched: list[SwitchedFault] = field(default_factory=list)
    _admitted: deque[tuple[float, float]] = field(default_factory=deque)
    _bodies: dict[Any, bytes] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    stopping: threading.Event = field(default_factory=threading.Event)

    def answer(self, parameters: Mapping[str, str]) -> tuple[bytes, Fault | None]:
        """The body for a request, and the fault of transport to send it with."""
        arrived_at = time.time()
        function, symbol = parameters.get("function", ""), parameters.get("symbol", "")
        key = parameters.get("apikey", "")
        with self._lock:
            struck = next((one for one in self.switched if one.strikes(function, symbol)), None)
            fault = struck.fault if struck else None
            if not key or self.api_key not in ("", key):
                fault = Fault.WRONG_KEY
            refusal = fault if fault in NOTICES else self._limit_reached(arrived_at)
            outcome = fault.value if fault else ("refused" if refusal else "answered")
            self.arrivals.append(Arrival(arrived_at, function, symbol, outcome))
        if refusal is not None:
            return self._notice(refusal, function=function, key=key), None
        if fault is Fault.GARBAGE:
            return b"<html><body>Service temporarily overloaded</body></html>", None
        if fault is Fault.NO_DATA:
            return b"{}", None
        return self._data(function, symbol, parameters), fault

    def _notice(self, refusal: str, **asked: str) -> bytes:
        plan, (field_name, words) = self.plan, NOTICES[refusal]
        limits = (plan.per_second or 1, plan.per_minute or 5, plan.per_day or 25)
        named = dict(zip(("per_second", "per_minute", "per_day"), limits, strict=True))
        return json.dumps({field_name: words.format(**asked, **named)}, indent=2).encode()

    def _limit_reached(self, arrived_at: float) -> str | None:
        """The limit a request is over; one within all is counted."""
        now = self.now().timestamp()
        while self._admitted and max(
            now - self._admitted[0][1], arrived_at - self._admitted[0][0]
        ) > (SECONDS_PER_DAY):
            self._admitted.popleft()
        plan = self.plan
        if plan.per_day is not None:
            day = [one for one in self._admitted if now - one[1] < SECONDS_PER_DAY]
            if len(day) >= plan.per_day:
                return Fault.QUOTA
        if plan.per_second and self._count(arrived_at, 1) >= plan.per_second:
            return Fault.BURST
        if plan.per_minute and self._count(arrived_at, SECONDS_PER_MINUTE) >= plan.per_minute:
            return MINUTE
        self._admitted.append((arrived_at, now))
        return None

    def _count(self, arrived_at: float, window: int) -> int:
        count = 0
        for admitted_at, _ in reversed(self._admitted):
            if arrived_at - admitted_at >= window:
                break
            count += 1
        return count

    def _data(self, function: str, symbol: str, parameters: Mapping[str, str]) -> bytes:
        now = self.now()
        identity = tuple(sorted((name, v) for name, v in parameters.items() if name != "apikey"))
        cached = self._bodies.get((now.date(), identity))
        if cached is not None:
            return cached
        try:
            if function == answers.BARS_FUNCTION:
                known = answers.window_of_bars(self.bars, symbol, now, self.window)
                answer = answers.answer_bars(symbol, parameters["market"], known)
            else:
                if parameters["interval"] != "daily" or not symbol.endswith("USDT"):
                    raise ValueError(symbol)
                known = answers.window_of_bars(
                    self.bars, symbol.removesuffix("USDT"), now, self.window
                )
                answer = answers.answer_indicator(function, symbol, known, parameters)
            body = json.dumps(answer, indent=1).encode()
        except (KeyError, ValueError, UnknownSymbol):
            body = self._notice(Fault.UNKNOWN_SYMBOL, function=function)
        self._bodies[(now.date(), identity)] = body
        return body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def do_GET(self) -> None:
        """Answer a query."""
        url = urlsplit(self.path)
        if url.path == "/query":
            query = dict(parse_qsl(url.query, keep_blank_values=True))
            self._send(*self.server.market.answer(query))
        else:
            self._send(b'{"Error Message": "The sandbox serves /query."}', None, 404)

    def log_message(self, *_: Any) -> None:
        """Print nothing: a request line holds the key."""

    def _send(self, body: bytes, fault: Fault | None, status: int = 200) -> None:
        stopping = self.server.market.stopping
        if fault is Fault.HANG:
            stopping.wait()
            self.close_connection = True
            return
        refused = {Fault.SERVER_ERROR: self.server.market.error_status, Fault.TOO_MANY: 429}
        self.send_response(refused.get(fault, status) if fault else status)
        retry_after = self.server.market.retry_after
        if fault is Fault.TOO_MANY and retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault is Fault.TRUNCATION:
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        elif fault is Fault.SLOW_DRIP:
            for position in range(len(body)):
                if stopping.wait(_DRIP_SECONDS):
                    break
                self.wfile.write(body[position : position + 1])
        else:
            self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], market: SandboxMarketServer) -> None:
        super().__init__(address, _Handler)
        self.market = market

    def handle_error(self, *_: Any) -> None:
        """A client that hung up is no fault of this server; others are shown."""
        import sys
        import traceback

        if not isinstance(sys.exc_info()[1], ConnectionError):
            traceback.print_exc()


@contextmanager
def serving(market: SandboxMarketServer, port: int = 0) -> Iterator[str]:
    """Serve on loopback while the context lasts; gives the base URL. Port 0: any free one."""
    server = _Server(("127.0.0.1", port), market)
    thread = threading.Thread(target=server.serve_forever, name="sandbox", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/query"
    finally:
        market.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
