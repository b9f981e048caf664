"""The command that serves the HTTP API and the pool's pages."""

from typing import Annotated

import typer

from crypto_pool.commands.ports import Place, port_option, try_ports

SWITCH_SECONDS = 0.0005


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default: CRYPTO_POOL_SERVING_HOST.")
    ] = None,
    port: Annotated[
        int | None, port_option("Port, 0 for a free one; default: CRYPTO_POOL_SERVING_PORT.")
    ] = None,
) -> None:
    """Serve the HTTP API and the pool's pages, until Ctrl-C."""
    import gc
    import sys

    import uvicorn

    from crypto_pool.serving.app import create_app
    from crypto_pool.serving.connections import server_options
    from crypto_pool.settings import load_settings

    given = {"serving_host": host, "serving_port": port}
    settings = load_settings().model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    app = create_app(settings)
    chosen_with = "--port N or CRYPTO_POOL_SERVING_PORT"
    try_ports(Place(settings.serving_host, settings.serving_port, chosen_with))
    # What is loaded now lives as long as the process: no collection looks at it again. And a
    # publication, read in a thread of its own, lets go of the interpreter before it is noticed.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        uvicorn.run(
            app,
            host=settings.serving_host,
            port=settings.serving_port,
            timeout_graceful_shutdown=5,
            **server_options(settings),
        )
    finally:
        gc.unfreeze()  # DuckDB reports each of its objects that no last collection takes
