"""The local server that answers as Alpha Vantage does: `crypto-pool sandbox`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_pool.commands.ports import LOOPBACK, Place, port_option, try_ports
from crypto_pool.commands.printing import console

if TYPE_CHECKING:
    from crypto_pool.sandbox.faults import SwitchedFault
    from crypto_pool.settings import Settings


def sandbox(
    port: Annotated[int, port_option("Port on loopback; 0 takes any free one.")] = 8765,
    plan: Annotated[
        str, typer.Option(help="Limits it keeps: unlimited, free, premium_75 ... premium_1200.")
    ] = "unlimited",
    window: Annotated[
        int, typer.Option(help="Latest bars of an answer; 0 gives the whole history.")
    ] = 0,
    bars: Annotated[
        Path | None, typer.Option(help="Folder of SYMBOL.csv or .parquet to answer from.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="What to do wrong, for one coin if named: 5xx, or hang:BTC. Repeatable."),
    ] = None,
) -> None:
    """Serve a market in Alpha Vantage's format, until Ctrl-C."""
    from crypto_pool.adapters.providers.directory import DirectoryProvider
    from crypto_pool.domain.request_plans import PLANS, UNLIMITED
    from crypto_pool.errors import InvalidSetting
    from crypto_pool.sandbox.server import SandboxMarketServer, serving
    from crypto_pool.settings import load_settings

    plans = {"unlimited": UNLIMITED, **PLANS}
    if plan not in plans:
        raise InvalidSetting(f"--plan {plan!r} is unknown; known: {', '.join(plans)}")
    try_ports(Place(LOOPBACK, port, "--port N"))
    settings = load_settings()
    synthetic = settings.synthetic_market().bars
    source = synthetic if bars is None else DirectoryProvider(bars).daily_bars
    market = SandboxMarketServer(
        source,
        plans[plan],
        now=settings.now,
        window=window or None,
        switched=[_switched(text) for text in fault or ()],
    )
    with serving(market, port) as address:
        console.print(f"Synthetic Alpha Vantage: {address}" if bars is None else f"{address}")
        console.print(
            f"Use it with CRYPTO_POOL_SANDBOX_URL={address} and the provider sandbox.",
            soft_wrap=True,
        )
        Event().wait()


@contextmanager
def running_sandbox(settings: "Settings") -> Iterator[str]:
    """Serve the synthetic market, and let the provider sandbox pull from it over HTTP.

    Gives the address, which stands in the environment meanwhile.
    """
    from crypto_pool.domain.request_plans import UNLIMITED
    from crypto_pool.sandbox.server import SandboxMarketServer, serving
    from crypto_pool.settings import overridden

    bars = settings.synthetic_market().bars
    market = SandboxMarketServer(bars, UNLIMITED, now=settings.now, window=None)
    with serving(market) as address, overridden(sandbox_url=address):
        yield address


def _switched(text: str) -> "SwitchedFault":
    """Read a fault from an option; raises InvalidSetting."""
    from crypto_pool.errors import InvalidSetting
    from crypto_pool.sandbox.faults import Fault, SwitchedFault

    name, _, symbol = text.partition(":")
    if name not in list(Fault):
        raise InvalidSetting(f"--fault {name!r} is unknown; known: {', '.join(Fault)}")
    return SwitchedFault(Fault(name), symbol=symbol.upper())
