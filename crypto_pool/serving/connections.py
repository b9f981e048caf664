"""How long a connection may take to ask, and how many one client may hold open."""

import ipaddress
from asyncio import Transport
from asyncio.events import TimerHandle
from itertools import count
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from crypto_pool.settings import Settings

REQUEST_SECONDS = 10.0
MAX_REQUEST_BYTES = 64 * 1024
MAX_CONNECTIONS = 100
TURNS = count()
REFUSALS = {
    408: b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    431: b"HTTP/1.1 431 Request Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
}


def server_options(settings: Settings) -> dict[str, Any]:
    """Return the options of uvicorn that bound what clients may do."""
    proxies = settings.serving_proxies
    return {
        "http": type("Connection", (BoundedConnection,), {"proxies": proxies}),
        "proxy_headers": bool(proxies),
        "forwarded_allow_ips": [str(network) for network in proxies],
        "server_header": False,
        "access_log": False,
    }


class BoundedConnection(HttpToolsProtocol):
    """A connection whose requests come whole, soon and small, or it is closed.

    A client that holds too many loses the one that has waited longest without a request to
    answer; a named proxy holds those of many clients, and bounds them itself.
    """

    proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    _deadline: TimerHandle | None = None
    _received = 0
    _turn = 0  # a loop's clock stands still while it accepts many

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait_for_request()
        if self.client is None or self._is_proxy(self.client[0]):
            return
        others = [one for one in self.connections if isinstance(one, BoundedConnection)]
        held = [one for one in others if one.client and one.client[0] == self.client[0]]
        held = [one for one in held if not one.transport.is_closing()]
        if len(held) > MAX_CONNECTIONS:
            waiting = [one for one in held if one.waits]
            min(waiting, key=lambda one: one._turn).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request."""
        if self._deadline is None:
            self._wait_for_request()
        self._received += len(data)
        if self._received > MAX_REQUEST_BYTES:
            return self._refuse(431)
        super().data_received(data)

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        super().on_message_complete()
        self._stop_waiting()
        self._received = 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    @property
    def waits(self) -> bool:
        """Whether there is no request to answer."""
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_request(self) -> None:
        self._turn = next(TURNS)
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._refuse, 408)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: int) -> None:
        self._stop_waiting()
        if self.waits and not self.transport.is_closing():
            self.transport.write(REFUSALS[status])
        self.transport.close()

    def _is_proxy(self, host: str) -> bool:
        return any(ipaddress.ip_address(host) in network for network in self.proxies)
