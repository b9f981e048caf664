"""MLflow's server, answering to pages of this machine only; `up` runs this module.

MLflow checks the Host header and, of state-changing requests below `/api` and `/ajax-api`, the
Origin; all else a foreign page may ask, its `/graphql` too. Another app than its own has to be an
installed plugin, so the command that starts its workers is given another one. The arguments are
those of `mlflow`.
"""

from collections.abc import Callable
from typing import Any

from mlflow import cli, server
from starlette.types import ASGIApp

from crypto_pool.serving.foreign_pages import ForeignPages

APP = "crypto_pool.commands.mlflow_ui:create_app"


def create_app() -> ASGIApp:
    """Build MLflow's app behind a check of who asks."""
    from mlflow.server.fastapi_app import app

    return ForeignPages(app)


def main() -> None:
    """Run `mlflow` with workers that serve the guarded app."""
    build: Callable[..., list[str]] = server._build_uvicorn_command

    def build_guarded(options: Any, host: Any, port: Any, workers: Any, *_: Any) -> list[str]:
        return build(options, host, port, workers, APP, is_factory=True)

    vars(server).update({build.__name__: build_guarded})
    cli.cli()


if __name__ == "__main__":
    main()
