"""What a page of another site makes a browser send is refused; links, own pages, programs not."""

import asyncio
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto_pool.commands.dagster_ui import LoopbackWebserver
from crypto_pool.serving.foreign_pages import ForeignPages

MUTATION = "mutation { launchRun { __typename } }"
JSON = {"Content-Type": "application/json"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
OWN = ("http://127.0.0.1:3000", "http://localhost:5000", "http://[::1]:1", "https://a.pool.example")
FOREIGN = (
    "https://evil.example",
    "null",
    "http://127.0.0.1.evil.example",
    "http://localhost.evil.example:3000",
    "https://notpool.example",
    "http://[broken",
    "file://",
)


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        return await send({"type": "websocket.accept"})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


GUARDED = ForeignPages(answering, ["*.pool.example", "*"])


def ask(
    method: str,
    path: str,
    *headers: dict[str, str],
    query: list[tuple[str, str]] | None = None,
    app: ASGIApp = GUARDED,
) -> int:
    """The status of a request, of the method SOCKET whether a web socket is accepted."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    given = [(name, value) for group in headers for name, value in group.items()]
    if "Host" not in dict(given):
        given.append(("Host", "127.0.0.1:3000"))
    scope: dict[str, Any] = {
        "type": "websocket" if method == "SOCKET" else "http",
        "method": method,
        "path": path,
        "query_string": urlencode(query or []).encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in given],
    }
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return int(sent[0].get("status", sent[0]["type"] == "websocket.accept"))


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/graphql", "/api/2.0/mlflow/runs/create"])
def test_origins_are_told_apart(method: str, path: str) -> None:
    for origin in FOREIGN:
        assert ask(method, path, {"Origin": origin}, JSON) == 403, origin
    for origin in OWN:
        assert ask(method, path, {"Origin": origin}, JSON) == 200, origin
    assert ask(method, path, JSON) == 200
    assert ask(method, path, {"Origin": OWN[0]}, {"Origin": FOREIGN[0]}, JSON) == 403


def test_the_origin_of_the_asked_host_is_own_where_any_host_is() -> None:
    own = {"Host": "named.example", "Origin": "https://named.example"}
    assert ask("GET", "/", own) == 200


def test_sockets_are_opened_for_own_pages_and_programs() -> None:
    assert not any(ask("SOCKET", "/graphql", {"Origin": origin}) for origin in FOREIGN)
    assert not ask("SOCKET", "/graphql", {"Sec-Fetch-Site": "cross-site"})
    assert all(ask("SOCKET", "/graphql", {"Origin": origin}) for origin in OWN)
    assert ask("SOCKET", "/graphql")


def test_a_link_from_elsewhere_opens_a_page_and_nothing_else() -> None:
    assert ask("GET", "/runs/1", LINK) == 200
    assert ask("GET", "/graphql", LINK) == 403
    assert ask("POST", "/runs/1", LINK) == 403
    for part in ({"Sec-Fetch-Mode": "no-cors"}, {"Sec-Fetch-Dest": "iframe"}):
        assert ask("GET", "/runs/1", {**LINK, **part}) == 403
    for site in ("same-origin", "same-site", "none"):
        assert ask("GET", "/models", {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "cors"}) == 200


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/prefix/graphql"])
def test_graphql_changes_nothing_by_get_and_takes_json_only(path: str) -> None:
    assert ask("GET", path) == 200
    for asking in ("{ version }", "query A { version }", "{ broken"):
        assert ask("GET", path, query=[("query", asking)]) == 200
    for changing in (MUTATION, f"query A {{ version }} {MUTATION}", "subscription { events }"):
        assert ask("GET", path, query=[("query", changing)]) == 405
        assert ask("GET", path, query=[("query", changing), ("query", "{ version }")]) == 405
    for kind in ("application/json", "Application/JSON; charset=utf-8"):
        assert ask("POST", path, {"Content-Type": kind}) == 200
    for kind in ("text/plain", "text/plain;a=application/json", "application/graphql", ""):
        assert ask("POST", path, {"Content-Type": kind}) == 415
    assert ask("POST", "/report", {"Content-Type": "text/plain"}) == 200


def test_the_dagster_ui_stands_behind_both_checks() -> None:
    """As `up` runs it: the Host first, since a rebound name is its own origin."""
    page = LoopbackWebserver.__new__(LoopbackWebserver)
    wrapped: Any = answering
    for guard in reversed(LoopbackWebserver.build_middleware(page)[:2]):
        wrapped = guard.cls(wrapped, *guard.args, **guard.kwargs)
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert ask("POST", "/graphql", rebound, JSON, app=wrapped) == 400
    assert ask("POST", "/graphql", {"Origin": FOREIGN[0]}, JSON, app=wrapped) == 403
    assert ask("POST", "/graphql", {"Origin": OWN[0]}, JSON, app=wrapped) == 200
