"""Refuse what a page of another site makes a browser send; plain ASGI, for any of the servers.

A browser says for whom it asks in `Origin` and `Sec-Fetch-Site`; programs send neither.
Source: https://www.w3.org/TR/fetch-metadata/
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from crypto_pool.domain.addresses import is_loopback, is_one_of
from crypto_pool.serving.errors import error_response

GRAPHQL = "/graphql"
POLICY_VIOLATION = 1008  # https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1


class ForeignPages:
    """Let in own pages, links from elsewhere to a page, and programs; stands behind a Host check.

    Own are the pages of loopback and of `hosts`, as the Host check takes them (`*.example.com`).
    GraphQL is taken as JSON only, and changes nothing by GET: a browser sends all else unasked.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._hosts = [host.lower() for host in hosts if host != "*"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        if self._is_foreign(scope, headers):
            refusal = error_response(
                403, "foreign_page", "asked by a page of another site; refused"
            )
        elif scope["type"] == "http" and _is_graphql(scope) and not _is_sound(scope, headers):
            refusal = error_response(
                415 if scope["method"] == "POST" else 405,
                "unsound_graphql",
                "GraphQL is taken as application/json, and mutations by POST only; refused",
            )
        else:
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            await refusal(scope, receive, send)

    def _is_foreign(self, scope: Scope, headers: Headers) -> bool:
        if any(not self._is_own(origin, headers) for origin in headers.getlist("origin")):
            return True
        return headers.get("sec-fetch-site") == "cross-site" and not (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-dest", "document") == "document"
            and not _is_graphql(scope)
        )

    def _is_own(self, origin: str, headers: Headers) -> bool:
        try:
            host = urlsplit(origin).hostname or ""
            own_host = urlsplit(f"//{headers.get('host', '')}").hostname
        except ValueError:
            return False
        own = [*self._hosts, *filter(None, [own_host])]
        return bool(host) and (is_loopback(host) or is_one_of(host, own))


def _is_graphql(scope: Scope) -> bool:
    return str(scope["path"]).rstrip("/").endswith(GRAPHQL)


def _is_sound(scope: Scope, headers: Headers) -> bool:
    """Whether no browser would send it for a foreign page without asking first."""
    if scope["method"] == "POST":
        kind = headers.get("content-type", "").partition(";")[0]
        return kind.strip().lower() == "application/json"
    queries = QueryParams(scope["query_string"]).getlist("query")
    return scope["method"] == "OPTIONS" or all(map(_only_asks, queries))


def _only_asks(document: str) -> bool:
    from graphql import GraphQLSyntaxError, OperationDefinitionNode, OperationType, parse

    try:
        operations = parse(document).definitions
    except GraphQLSyntaxError:
        return True  # it does nothing, and the server says what is wrong with it
    return all(
        one.operation is OperationType.QUERY
        for one in operations
        if isinstance(one, OperationDefinitionNode)
    )
