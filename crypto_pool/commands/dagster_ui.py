"""The Dagster UI, answering to names of this machine only; `up` runs this module.

`dagster-webserver` takes any Host header, so a page that rebinds its own name to 127.0.0.1 could
launch runs from a browser. It has no option against that, but its server class has a place for
middleware. The arguments are those of `dagster-webserver`.
"""

from typing import Any

import dagster_webserver.app
from dagster_webserver import cli
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

LOOPBACK_NAMES = ("127.0.0.1", "localhost")


class LoopbackWebserver(DagsterWebserver[Any, Any]):
    """Dagster's web server behind a check of the Host header."""

    def build_middleware(self) -> list[Middleware]:
        """Refuse foreign names before anything else is done."""
        guard = Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK_NAMES))
        return [guard, *super().build_middleware()]


def main() -> None:
    """Run `dagster-webserver` with the guarded class in place of its own."""
    vars(dagster_webserver.app).update({DagsterWebserver.__name__: LoopbackWebserver})
    cli.cli(auto_envvar_prefix="DAGSTER_WEBSERVER")


if __name__ == "__main__":
    main()
