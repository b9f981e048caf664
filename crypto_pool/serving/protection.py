"""Who may ask, how often, and what a browser may do with an answer; plain ASGI, for speed."""

import hmac
import math
import re
import time
from collections.abc import Collection

from limits import RateLimitItem
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto_pool.domain.addresses import is_loopback, is_one_of
from crypto_pool.errors import InvalidSetting
from crypto_pool.serving.errors import error_response
from crypto_pool.settings import Settings

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
OPEN_PATHS = ("/health",)  # says nothing of the pool; a supervisor asks it without the token
MIN_TOKEN_LENGTH = 16
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

_RAW_HEADERS = [(name.lower().encode(), text.encode()) for name, text in SECURITY_HEADERS.items()]


def check_exposure(settings: Settings) -> None:
    """Refuse to listen beyond loopback without a token, and a token that can be guessed.

    Raises:
        InvalidSetting: the way out is in its message.
    """
    token = settings.serving_token
    if token is None and not is_loopback(settings.serving_host):
        raise InvalidSetting(
            f"serving on {settings.serving_host} lets other machines in: set "
            "CRYPTO_POOL_SERVING_TOKEN to a long random text, which they then send as "
            "`Authorization: Bearer ...`, or serve on 127.0.0.1"
        )
    if token is not None and len(token.get_secret_value()) < MIN_TOKEN_LENGTH:
        raise InvalidSetting(
            f"CRYPTO_POOL_SERVING_TOKEN has fewer than {MIN_TOKEN_LENGTH} characters; "
            'make one with `python -c "import secrets; print(secrets.token_urlsafe())"`'
        )


def allowed_hosts(settings: Settings) -> list[str]:
    """Host headers that are answered: a page of another name cannot reach in by DNS rebinding."""
    unspecified = settings.serving_host in ("0.0.0.0", "::")
    own = [] if unspecified else [settings.serving_host]
    return list(dict.fromkeys([*LOOPBACK_NAMES, *own, *settings.serving_allowed_hosts]))


class HostGate:
    """Refuses with 400 a Host header that is none of the server's names."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = [host.lower() for host in hosts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it."""
        if scope["type"] != "http" or "*" in self._hosts:
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get("host", "")
        name = re.sub(r":\d*$", "", given.lower())
        if is_one_of(name, self._hosts):
            return await self._app(scope, receive, send)
        refusal = error_response(
            400,
            "unknown_host",
            f"the Host header {given!r} names another server; is it one of this one's names, then "
            "add it to CRYPTO_POOL_SERVING_ALLOWED_HOSTS",
        )
        await refusal(scope, receive, send)


class SecurityHeaders:
    """Adds the headers that a response does not set itself; HEAD is GET for all that follow."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if scope["method"] == "HEAD":  # of a monitor; the server itself leaves the body out
            scope = {**scope, "method": "GET"}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                own = {name for name, _ in headers}
                headers.extend(pair for pair in _RAW_HEADERS if pair[0] not in own)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class RateLimit:
    """Refuses with 429 what one address asks beyond its rate."""

    def __init__(self, app: ASGIApp, remote: RateLimitItem, loopback: RateLimitItem) -> None:
        self._app = app
        self._remote = remote
        self._loopback = loopback
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request, then pass it on or refuse it."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            return await self._app(scope, receive, send)
        address = scope["client"][0] if scope.get("client") else "unknown"
        rate = self._loopback if is_loopback(address) else self._remote
        if self._limiter.hit(rate, address):
            return await self._app(scope, receive, send)
        wait = self._limiter.get_window_stats(rate, address).reset_time - time.time()
        seconds = max(1, math.ceil(wait))
        refusal = error_response(
            429,
            "too_many_requests",
            f"more than {rate} from {address}; ask again in {seconds} s",
            headers={"Retry-After": str(seconds)},
        )
        await refusal(scope, receive, send)


class TokenGate:
    """Refuses with 401 what does not carry the bearer token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            return await self._app(scope, receive, send)
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        # The scheme in any case, then spaces: https://www.rfc-editor.org/rfc/rfc9110#section-11.4
        scheme, _, credentials = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        is_right = hmac.compare_digest(credentials.strip(b" "), self._expected)
        if scheme.lower() == b"bearer" and is_right:
            return await self._app(scope, receive, send)
        refusal = error_response(
            401,
            "unauthorized",
            "send the header `Authorization: Bearer` with the token of CRYPTO_POOL_SERVING_TOKEN",
            headers={"WWW-Authenticate": "Bearer"},
        )
        await refusal(scope, receive, send)
