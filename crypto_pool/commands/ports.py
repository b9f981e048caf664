"""The ports of services: tried before anything is started, and awaited until all answer."""

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event
from typing import Any

import typer

from crypto_pool.errors import InvalidSetting

LOOPBACK = "127.0.0.1"
HIGHEST_PORT = 65535
LOOK_AGAIN_SECONDS = 0.5


@dataclass(frozen=True)
class Place:
    """Where a service is to listen, and the option, or setting, that chooses another port."""

    host: str
    port: int
    chosen_with: str


def port_option(help: str) -> Any:
    """Return the declaration of an option that takes a port, 0 for any free one."""
    return typer.Option(help=help, min=0, max=HIGHEST_PORT)


def try_ports(*places: Place) -> list[int]:
    """Listen at all places for a moment; give their ports, for each 0 a free one.

    Raises:
        InvalidSetting: one is taken, or nobody may listen there.
    """
    with ExitStack() as listening:
        # All at once: two services on one port are a mistake too.
        return [int(listening.enter_context(_listen(one)).getsockname()[1]) for one in places]


def await_answers(addresses: Sequence[tuple[str, int]], given_up: Event) -> bool:
    """Wait until something listens at every address; false if it was given up before."""
    while not all(map(_answers, addresses)):
        if given_up.wait(LOOK_AGAIN_SECONDS):
            return False
    return not given_up.is_set()


def is_taken(fault: BaseException | None) -> bool:
    """Whether a port could not be had because somebody listens there."""
    return isinstance(fault, OSError) and fault.errno == errno.EADDRINUSE


def _listen(place: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        return socket.create_server((place.host, place.port), family=family)
    except (OSError, UnicodeError) as fault:
        if is_taken(fault):
            raise InvalidSetting(
                f"port {place.port} is taken: choose another with {place.chosen_with}"
            ) from fault
        why = fault.strerror if isinstance(fault, OSError) else fault
        raise InvalidSetting(
            f"{place.host}:{place.port} cannot be listened on ({why}): "
            f"choose another port with {place.chosen_with}, or mend the host"
        ) from fault


def _answers(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=LOOK_AGAIN_SECONDS).close()
    except OSError:
        return False
    return True
