"""The web application: routes, protection, and the reader they answer from."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from limits import parse
from prometheus_client import CollectorRegistry
from starlette.staticfiles import StaticFiles

from crypto_pool import __version__
from crypto_pool.adapters.alerts import Alerts
from crypto_pool.adapters.unfinished_files import make_folder
from crypto_pool.serving import api, pages, protection
from crypto_pool.serving.answer_cache import AnswerCache
from crypto_pool.serving.errors import handle_errors
from crypto_pool.serving.foreign_pages import ForeignPages
from crypto_pool.serving.metrics import Measured, PoolMetrics
from crypto_pool.serving.publication_reader import PublicationReader
from crypto_pool.settings import Settings

LOOPBACK_LIMIT = "50000/second"
DESCRIPTION = """
What the pool has stored, never anything computed anew: no bar is pulled and no model is loaded.
Beside every probability stands the **reference**: what a random walk gives for the same day,
with nothing learned. Believe a member as far as it has beaten it. No trading advice.
"""


def create_app(settings: Settings) -> FastAPI:
    """Build the app over the pool of `settings`; raises InvalidSetting if it would be exposed."""
    protection.check_exposure(settings)
    make_folder(settings.state_dir)
    reader = PublicationReader(
        settings.state_dir,
        settings.chosen_symbols,
        settings.last_closed,
        settings.retrain_rules,
        synthetic_source=settings.provider == "sandbox",
    )

    @asynccontextmanager
    async def follow_publications(_: FastAPI) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(reader.refresh)
        async with anyio.create_task_group() as tasks:
            stop = anyio.Event()
            tasks.start_soon(reader.follow, stop)
            yield
            stop.set()
        reader.close()

    app = FastAPI(
        title="crypto_pool",
        version=__version__,
        description=DESCRIPTION,
        lifespan=follow_publications,
        docs_url=None,  # its page loads its scripts from elsewhere; /docs is one of the pages
        redoc_url=None,
        openapi_tags=[{"name": "answers"}, {"name": "operation"}],  # in this order
    )
    app.state.reader = reader
    app.state.tools = {"Dagster": settings.dagster_url, "MLflow": settings.mlflow_url}
    app.state.alerts = Alerts(settings.state_dir / "alerts.json", None, (), settings.now)
    app.state.metrics = CollectorRegistry()
    app.state.metrics.register(PoolMetrics(reader))
    secured = [] if settings.serving_token is None else [Depends(HTTPBearer(auto_error=False))]
    app.include_router(api.probes)
    app.include_router(pages.router)  # first: /members/NAME.html is no member of that name
    app.include_router(api.router, dependencies=secured)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    handle_errors(app, pages.error_page)
    _protect(app, settings, reader)
    return app


def _protect(app: FastAPI, settings: Settings, reader: PublicationReader) -> None:
    """Wrap the routes; what is added last sees a request first."""
    app.add_middleware(AnswerCache, reader=reader)
    if settings.serving_token is not None:
        app.add_middleware(protection.TokenGate, token=settings.serving_token.get_secret_value())
    app.add_middleware(
        protection.RateLimit,
        remote=parse(settings.serving_rate_limit),
        loopback=parse(LOOPBACK_LIMIT),
    )
    app.add_middleware(ForeignPages, hosts=settings.serving_allowed_hosts)
    app.add_middleware(protection.HostGate, hosts=protection.allowed_hosts(settings))
    app.add_middleware(
        Measured,
        registry=app.state.metrics,
        routes=frozenset(path for path in app.openapi()["paths"] if "{" not in path),
    )
    app.add_middleware(protection.SecurityHeaders)
