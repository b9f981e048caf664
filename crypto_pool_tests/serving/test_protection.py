"""Who may ask: token, Host, rate, headers, and the API's own description of itself."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.errors import InvalidSetting
from crypto_pool.serving.app import create_app
from crypto_pool_tests.serving.conftest import Served, pool_settings
from crypto_pool_tests.serving.pool_frames import pool_frames

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


def test_only_own_host_names_are_answered(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(tmp_path, serving_allowed_hosts="pool.example")
    assert served.get("/health", headers={"Host": "evil.example"}).status_code == 400
    assert served.get("/health", headers={"Host": "pool.example"}).status_code == 200
    assert served.get("/health", headers={"Host": "localhost:9"}).status_code == 200


def test_too_many_requests_are_refused_with_a_time(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    publish(tmp_path, pool_frames())
    served = serve(tmp_path, serving_loopback_rate_limit="3/hour")
    answers = [served.get("/models") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["error"] == "too_many_requests"
    assert 0 < int(answers[3].headers["retry-after"]) <= 3600
    assert served.get("/health").status_code == 200
    with pytest.raises(InvalidSetting, match="SERVING_RATE_LIMIT"):
        create_app(pool_settings(tmp_path, serving_rate_limit="many"))


def test_headers_keep_a_browser_strict(pool: Served) -> None:
    for path in ("/", "/models", "/models", "/nowhere", "/static/pool.css"):
        headers = pool.get(path, headers={"Origin": "https://evil.example"}).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
        assert headers.get_list("cache-control") == ["no-cache"]


@pytest.mark.parametrize("mode", GenerationMode)
def test_generated_requests_find_no_fault(pool: Served, mode: GenerationMode) -> None:
    """Every operation of the API description, asked what it allows and what it does not."""
    schema = schemathesis.openapi.from_url(f"{pool.url}/openapi.json")
    asked = Counter[str]()

    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=pool.url, timeout=20)
        asked[case.operation.path] += 1

    for operation in (result.ok() for result in schema.get_all_operations()):
        if mode is GenerationMode.NEGATIVE and not list(operation.iter_parameters()):
            continue
        generated = given(case=operation.as_strategy(generation_mode=mode))(check)
        BOUNDED(generated)()
    wanted = {"/prediction", "/predictions", "/members/{member}"}
    if mode is GenerationMode.POSITIVE:
        wanted |= {"/models", "/pool", "/ready", "/health", "/metrics"}
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
