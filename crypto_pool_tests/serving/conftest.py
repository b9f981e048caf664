"""A real server on loopback over a file published by the pool's own adapter, and its pages."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, Page

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.serving.app import create_app
from crypto_pool.serving.connections import server_options
from crypto_pool.settings import Settings
from crypto_pool_tests.browser import browser
from crypto_pool_tests.conftest import PATIENCE_SECONDS
from crypto_pool_tests.pool_frames import pool_frames

__all__ = ["browser"]
ASKED = "/prediction?symbol=BTC&trend_type=uptrend"
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {
        "color_scheme": "light",
        "viewport": {"width": 375, "height": 740},
        "has_touch": True,
    },
}


class Server(uvicorn.Server):
    """Says when it answers, instead of being asked again and again."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.started_up = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.started_up.set()


@dataclass
class Served:
    """A running server, its data folder and a client."""

    url: str
    data: Path
    client: httpx.Client
    app: Any

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def eventually(self, answered: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
        """Ask until the answer is as wished; a publication is picked up, not announced."""
        deadline = monotonic() + seconds
        while monotonic() < deadline:
            if answered():
                return True
        return False


def pool_settings(data: Path, **values: Any) -> Settings:
    given = {"symbols": "BTC,ETH,SOL", "simulated_now": NOW, "data_dir": data, **values}
    return Settings(_env_file=None, **given)


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., Served]]:
    """Serve a data folder until the module ends; keyword arguments are settings."""
    running: list[tuple[Server, threading.Thread, httpx.Client]] = []

    def start(data: Path, **values: Any) -> Served:
        settings = pool_settings(data, **values)
        app = create_app(settings)
        options = server_options(settings)
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", **options)
        server = Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        assert server.started_up.wait(PATIENCE_SECONDS)
        port = server.servers[0].sockets[0].getsockname()[1]
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS)
        running.append((server, thread, client))
        return Served(str(client.base_url), data, client, app)

    yield start
    for server, _, client in running:
        client.close()
        server.should_exit = True
    for _, thread, _ in running:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "a server goes on beside the tests that follow"


@pytest.fixture(scope="module")
def pool(serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory) -> Served:
    """The small pool of `pool_frames`, served; nobody publishes into it."""
    data = tmp_path_factory.mktemp("data")
    publish(data, pool_frames())
    return serve(data)


@pytest.fixture(params=LOOKS)
def page(request: pytest.FixtureRequest, browser: Browser, pool: Served) -> Iterator[Page]:
    """A page in one of the looks; a script error or a refused resource fails the test."""
    context = browser.new_context(base_url=pool.url, **LOOKS[request.param])
    opened = context.new_page()
    faults: list[str] = []
    opened.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    context.close()
    assert faults == []


@pytest.fixture
def desk(browser: Browser, pool: Served) -> Iterator[Page]:
    context = browser.new_context(base_url=pool.url, **LOOKS["light"])
    yield context.new_page()
    context.close()
