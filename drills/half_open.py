"""Clients that ask half a request, and go on holding their connection.

`crypto-pool serve` runs with 256 open files, what many systems allow a process by default.
"""

import contextlib
import http.client
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from drills._engines import free_port

OPEN_FILES = 256
PATH = "/health"
HALVES = (
    b"",
    b"GET /health HTT",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1234",
)
PATIENCE_SECONDS = 30.0


def run(clients: int = 300, seconds: float = 15.0) -> dict[str, Any]:
    """Give how an honest client fares beside half-open ones, and what is left of them."""
    with tempfile.TemporaryDirectory() as folder, _serving(Path(folder)) as port:
        with ExitStack() as held:
            sockets = [
                held.enter_context(_half_open(port, HALVES[number % len(HALVES)]))
                for number in range(clients)
            ]
            begun = time.monotonic()
            waits, unanswered = [], 0
            while time.monotonic() < begun + seconds or not waits:
                asked = time.monotonic()
                try:
                    _ask(port)
                    waits.append(time.monotonic() - asked)
                except OSError:
                    unanswered += 1
                time.sleep(0.1)  # an honest client's pace
            left = sum(_is_open(one) for one in sockets)
        return {
            "half_open_clients": clients,
            "honest_requests": len(waits) + unanswered,
            "honest_requests_unanswered": unanswered,
            "honest_longest_seconds": round(max(waits, default=PATIENCE_SECONDS), 3),
            "half_open_left": left,
            "endless_header_bytes_taken": _endless_header(port),
        }


@contextmanager
def _serving(folder: Path) -> Iterator[int]:
    port = free_port()
    command = [str(Path(sys.executable).parent / "crypto-pool"), "serve", "--port", str(port)]
    process = subprocess.Popen(
        command,
        env={**os.environ, "DAGSTER_HOME": str(folder)},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES)),
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _ask(port)
                break
            time.sleep(0.2)  # a server says nothing when it begins to listen
        yield port
    finally:
        process.kill()
        process.wait(timeout=30)


@contextmanager
def _half_open(port: int, half: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as opened:
        with contextlib.suppress(ConnectionError):
            opened.sendall(half)
        yield opened


def _is_open(opened: socket.socket) -> bool:
    """Whether the server has not closed it; what it said before does not matter."""
    opened.setblocking(False)
    try:
        while opened.recv(1 << 16):
            continue
        return False
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def _ask(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS / 10)
    with contextlib.closing(connection):
        connection.request("GET", PATH)
        return connection.getresponse().status


def _endless_header(port: int, most: int = 1 << 24) -> int:
    """How much of a header is taken before the connection is closed; `most` if it never is."""
    taken = 0
    with _half_open(port, HALVES[2]) as opened:
        opened.settimeout(PATIENCE_SECONDS)
        with contextlib.suppress(ConnectionError):
            while taken < most:
                taken += opened.send(b"x" * 4096)
                opened.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    opened.recv(1)
                    break
                opened.settimeout(PATIENCE_SECONDS)
    return taken
