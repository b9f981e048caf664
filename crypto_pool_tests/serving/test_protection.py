"""Who may ask: token, Host, rate, headers, and the API's own description of itself."""

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import ValidationError
from schemathesis import GenerationMode
from starlette.types import Message, Receive, Scope, Send

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.errors import InvalidSetting
from crypto_pool.serving import answer_cache, app, connections
from crypto_pool.serving.answer_cache import AnswerCache
from crypto_pool.serving.app import create_app
from crypto_pool_tests.conftest import PATIENCE_SECONDS
from crypto_pool_tests.pool_frames import pool_frames
from crypto_pool_tests.serving.conftest import Served, pool_settings

BOUNDED = settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
TOKEN = "a-long-and-random-text"


def test_listening_elsewhere_needs_a_token(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.0.2.7", "::"):
        with pytest.raises(InvalidSetting, match="CRYPTO_POOL_SERVING_TOKEN"):
            create_app(pool_settings(tmp_path, serving_host=host))
    with pytest.raises(InvalidSetting, match="fewer than"):
        create_app(pool_settings(tmp_path, serving_token="short"))
    create_app(pool_settings(tmp_path, serving_host="0.0.0.0", serving_token=TOKEN))
    assert TOKEN not in repr(pool_settings(tmp_path, serving_token=TOKEN))


def test_with_a_token_every_request_needs_it(serve: Callable[..., Served], tmp_path: Path) -> None:
    publish(tmp_path, pool_frames())
    served = serve(tmp_path, serving_token=TOKEN)
    for path in ("/", "/models", "/pool", "/metrics", "/ready", "/openapi.json", "/static/pool.js"):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
            answer = served.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert served.get(path, headers=right).status_code == 200
    assert served.get("/health").status_code == 200
    # An answer that was given with the token is not given without.
    assert served.get("/models").json()["error"] == "unauthorized"


def test_the_scheme_is_read_as_the_rfc_has_it(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(tmp_path, serving_token=TOKEN)
    for sent in (f"bearer {TOKEN}", f"BEARER   {TOKEN}"):
        assert served.get("/metrics", headers={"Authorization": sent}).status_code == 200
    for sent in (f"Basic {TOKEN}", f"Bearer{TOKEN}", f"Bearer {TOKEN}x", "Bearer", ""):
        assert served.get("/metrics", headers={"Authorization": sent}).status_code == 401
    twice = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer other")]
    assert served.client.get("/metrics", headers=twice).status_code == 401


def test_who_asks_is_taken_from_named_proxies_only(
    serve: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    monkeypatch.setattr(app, "LOOPBACK_LIMIT", "2/hour")
    alone, behind, other = (
        serve(tmp_path, serving_proxies=proxies, serving_rate_limit="2/hour")
        for proxies in ("", "192.0.2.0/24,127.0.0.1", "192.0.2.0/24")
    )

    def ask(served: Served) -> list[int]:
        return [
            served.get("/metrics", headers={"X-Forwarded-For": f"198.51.100.{n}"}).status_code
            for n in range(3)
        ]

    assert ask(alone) == ask(other) == [200, 200, 429]
    assert ask(behind) == [200, 200, 200]
    same = {"X-Forwarded-For": "203.0.113.1, 198.51.100.1"}
    assert behind.get("/metrics", headers=same).status_code == 200
    assert behind.get("/metrics", headers=same).status_code == 429
    with pytest.raises(ValidationError, match="serving_proxies"):
        pool_settings(tmp_path, serving_proxies="*")


@pytest.mark.parametrize(
    "half",
    [b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "],
)
def test_half_a_request_is_not_waited_for(
    pool: Served, half: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.1)
    with socket.create_connection(
        ("127.0.0.1", httpx.URL(pool.url).port), timeout=PATIENCE_SECONDS
    ) as opened:
        opened.sendall(half)
        assert opened.recv(100).startswith(b"HTTP/1.1 408")
        assert opened.recv(100) == b""
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
    with socket.create_connection(
        ("127.0.0.1", httpx.URL(pool.url).port), timeout=PATIENCE_SECONDS
    ) as opened:
        opened.sendall(whole + b"Content-Length: 9\r\n\r\n1234")
        while opened.recv(1000):
            continue  # the answer to what needs no body, and then the end
    with socket.create_connection(
        ("127.0.0.1", httpx.URL(pool.url).port), timeout=PATIENCE_SECONDS
    ) as opened:
        opened.sendall(whole + b"X: " + b"x" * connections.MAX_REQUEST_BYTES)
        assert opened.recv(100).startswith(b"HTTP/1.1 431")


def test_of_a_client_s_connections_the_longest_without_a_request_goes(
    pool: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    port = httpx.URL(pool.url).port
    with httpx.Client(base_url=pool.url) as fresh, ExitStack() as opened:
        held = [
            opened.enter_context(
                socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
            )
            for _ in range(5)
        ]
        assert fresh.get("/health").status_code == 200
        with suppress(ConnectionResetError):
            assert held[0].recv(1) == b""
        held[-1].sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert held[-1].recv(100).startswith(b"HTTP/1.1 200")


def test_the_answers_kept_are_bounded_and_those_asked_for_stay() -> None:
    class State:
        fault = None

        def state(self) -> object:
            return self

    asked: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["query_string"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * size})

    async def drop(_: Message) -> None:
        pass

    def ask(query: bytes) -> None:
        scope = {"type": "http", "method": "GET", "path": "/models", "query_string": query}
        asyncio.run(cache(scope, None, drop))  # type: ignore[arg-type]

    for size, queries in ((10, 5000), (100_000, 500), (answer_cache.MAX_BYTES, 2)):
        cache = AnswerCache(app, State())  # type: ignore[arg-type]
        for number in range(queries):
            ask(b"")
            ask(b"junk=%d" % number)
        kept = cache._answers
        assert len(kept) <= answer_cache.MAX_ANSWERS
        assert sum(map(len, kept)) + len(kept) * size <= answer_cache.MAX_BYTES
        assert asked.count(b"") == (1 if size < answer_cache.MAX_BYTES else 2)
        asked.clear()


def test_only_own_host_names_are_answered(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(tmp_path, serving_allowed_hosts="pool.example")
    refused = served.get("/health", headers={"Host": "evil.example"})
    assert (refused.status_code, refused.json()["error"]) == (400, "unknown_host")
    assert "add it to CRYPTO_POOL_SERVING_ALLOWED_HOSTS" in refused.json()["message"]
    assert served.get("/health", headers={"Host": "pool.example.evil.example"}).status_code == 400
    assert served.get("/health", headers={"Host": "pool.example"}).status_code == 200
    assert served.get("/health", headers={"Host": "localhost:9"}).status_code == 200


def test_too_many_requests_are_refused_with_a_time(
    serve: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, pool_frames())
    monkeypatch.setattr(app, "LOOPBACK_LIMIT", "3/hour")
    served = serve(tmp_path)
    answers = [served.get("/models") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["error"] == "too_many_requests"
    assert 0 < int(answers[3].headers["retry-after"]) <= 3600
    assert served.get("/health").status_code == 200


def test_headers_keep_a_browser_strict(pool: Served) -> None:
    for path in ("/", "/models", "/models", "/nowhere", "/static/pool.css"):
        headers = pool.get(path, headers={"Origin": "https://evil.example"}).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
        assert headers.get_list("cache-control") == ["no-cache"]


@pytest.mark.parametrize("mode", GenerationMode)
def test_generated_requests_find_no_fault(
    pool: Served, mode: GenerationMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every operation of the API description, asked what it allows and what it does not."""
    # A stand-in that MLflow leaves where two threads load models at once; it has no path.
    monkeypatch.delitem(sys.modules, "dbutils", raising=False)
    schema = schemathesis.openapi.from_url(f"{pool.url}/openapi.json")
    asked = Counter[str]()

    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=pool.url, timeout=PATIENCE_SECONDS)
        asked[case.operation.path] += 1

    for operation in (result.ok() for result in schema.get_all_operations()):
        if mode is GenerationMode.NEGATIVE and not list(operation.iter_parameters()):
            continue
        generated = given(case=operation.as_strategy(generation_mode=mode))(check)
        BOUNDED(generated)()
    wanted = {"/prediction", "/predictions", "/members/{member}", "/odds"}
    if mode is GenerationMode.POSITIVE:
        wanted |= {"/models", "/members", "/pool", "/ready", "/health", "/metrics"}
    assert set(asked) == wanted
    assert min(asked[path] for path in ("/prediction", "/predictions")) >= 20


def test_examples_of_the_description_fit_their_schemas(pool: Served) -> None:
    from crypto_pool.serving.schemas import Model, Prediction

    components = pool.get("/openapi.json").json()["components"]["schemas"]
    for schema in (Model, Prediction):
        examples = components[schema.__name__]["examples"]
        assert examples
        for example in examples:
            assert set(example) <= set(schema.model_fields)
            nulls = dict.fromkeys(schema.model_fields)  # the description leaves them out
            schema.model_validate(nulls | example)
