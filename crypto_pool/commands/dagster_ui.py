"""The Dagster UI, answering to names and pages of this machine only; `up` runs this module.

`dagster-webserver` takes any Host and Origin, GraphQL in any form and mutations by GET, so any
page in the user's browser could launch runs. It has no option against that, but its server class
has a place for middleware. The arguments are those of `dagster-webserver`.
"""

from typing import Any

import dagster_webserver.app
from dagster_webserver import cli
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from crypto_pool.serving.foreign_pages import ForeignPages

LOOPBACK_NAMES = ("127.0.0.1", "localhost")


class LoopbackWebserver(DagsterWebserver[Any, Any]):
    """Dagster's web server behind checks of the Host header and of who asks."""

    def build_middleware(self) -> list[Middleware]:
        """Refuse foreign names and pages before anything else is done."""
        names = Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK_NAMES))
        return [names, Middleware(ForeignPages), *super().build_middleware()]


def main() -> None:
    """Run `dagster-webserver` with the guarded class in place of its own."""
    vars(dagster_webserver.app).update({DagsterWebserver.__name__: LoopbackWebserver})
    cli.cli(auto_envvar_prefix="DAGSTER_WEBSERVER")


if __name__ == "__main__":
    main()
