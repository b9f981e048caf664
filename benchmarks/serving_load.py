"""Hold 50 connections to the API while predictions are published underneath.

`python -m benchmarks.serving_load` prints failed requests, p50, p99 and memory growth of the
`/prediction` endpoint and exits with 1 if a goal is missed: none failed, p50 at most 5 ms, p99
at most 30 ms. Each connection asks by a beat of its own, so that the server and not a queue in
this client is measured; `--pause 0` asks as fast as answers come. Server, client and publisher
are processes of their own.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import psutil
import uvloop

ROOT = Path(__file__).parent.parent
MAX_P50_MS, MAX_P99_MS, MAX_GROWTH_MIB = 5.0, 30.0, 16.0
WARM_UP_SECONDS = 3.0
PUBLISHER = """
import sys, time
from pathlib import Path
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool_tests.pool_frames import pool_frames
frames = pool_frames()
data, seconds = Path(sys.argv[1]), float(sys.argv[2])
while True:
    began = time.monotonic()
    publish(data, frames)
    print("published", flush=True)
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))
"""


@dataclass
class Load:
    """What the client saw."""

    milliseconds: list[float] = field(default_factory=list)
    failed: int = 0

    def quantile(self, share: float) -> float:
        """Latency in milliseconds below which `share` of the answers were."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def hold_connection(
    port: int, goes_on: Callable[[], bool], pause: float, first: float, load: Load
) -> None:
    """Ask over one connection while the load goes on; a wrong answer counts as failed.

    Requests are due every `pause` seconds from `first` on: pauses that began with an answer
    would let the connections fall into step, and queue behind each other.
    """
    due = first
    await asyncio.sleep(due - time.monotonic())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = (
        b"GET /prediction?symbol=BTC&trend_type=uptrend HTTP/1.1\r\n"
        b"Host: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n"
    )
    try:
        while goes_on():
            asked = time.perf_counter()
            writer.write(request)
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError, IndexError):
                load.failed += 1
                return
            load.milliseconds.append(1000 * (time.perf_counter() - asked))
            if not head.startswith(b"HTTP/1.1 200") or b"prediction_probabilities" not in body:
                load.failed += 1
            due = max(due + pause, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
    finally:
        writer.close()


async def run_clients(
    port: int,
    connections: int,
    seconds: float,
    pause: float,
    is_enough: Callable[[], bool] = lambda: True,
) -> Load:
    """Hold the connections for so long and until it is enough, requests spread over the pause."""
    load = Load()
    begin = time.monotonic()

    def goes_on() -> bool:
        return time.monotonic() < begin + seconds or not is_enough()

    clients = (
        hold_connection(port, goes_on, pause, begin + pause * number / connections, load)
        for number in range(connections)
    )
    await asyncio.gather(*clients)
    return load


def measure(connections: int, seconds: float, pause: float, every: float) -> dict[str, float]:
    """Start server and publisher, run the load, give what came out."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CRYPTO_POOL_DATA_DIR": folder,
            "CRYPTO_POOL_SIMULATED_NOW": "2026-11-24T09:00:00Z",
        }
        publish = [sys.executable, "-c", PUBLISHER, folder, str(every)]
        publisher = subprocess.Popen(publish, env=environment, stdout=subprocess.PIPE, text=True)
        serve = [str(Path(sys.executable).parent / "crypto-pool"), "serve", "--port", "0"]
        server, published = None, list[str]()
        try:
            assert publisher.stdout is not None
            published.append(publisher.stdout.readline())
            counter = Thread(target=published.extend, args=(publisher.stdout,))
            counter.start()
            server = subprocess.Popen(
                serve, env=environment, cwd=folder, stderr=subprocess.PIPE, text=True
            )
            port = read_port(server)
            uvloop.run(run_clients(port, connections, WARM_UP_SECONDS, pause))
            process = psutil.Process(server.pid)
            before = process.memory_info().rss

            def is_enough() -> bool:  # on a busy machine a publication takes seconds
                return len(published) > 2 or publisher.poll() is not None

            load = uvloop.run(run_clients(port, connections, seconds, pause, is_enough))
            growth = (process.memory_info().rss - before) / 2**20
        finally:
            for child in (server, publisher):
                if child is not None:
                    child.terminate()
                    child.wait()
        counter.join()  # the publisher has ended
        publisher.stdout.close()
        if server.stderr is not None:
            server.stderr.close()
    return {
        "serving_requests": len(load.milliseconds),
        "serving_failed": load.failed,
        "serving_publications": len(published),
        "serving_p50_ms": load.quantile(0.5),
        "serving_p99_ms": load.quantile(0.99),
        "serving_memory_growth_mib": growth,
    }


def figures() -> dict[str, float]:
    """Measure a short load: fifty connections for ten seconds."""
    return measure(connections=50, seconds=10, pause=0.05, every=2)


def keeps_its_goals(found: dict[str, float]) -> bool:
    """Say whether the server was fast enough, and asked at all, while something was published."""
    return (
        found["serving_p50_ms"] <= MAX_P50_MS
        and found["serving_p99_ms"] <= MAX_P99_MS
        and found["serving_memory_growth_mib"] <= MAX_GROWTH_MIB
        and not found["serving_failed"]
        and found["serving_requests"] > 0
        and found["serving_publications"] > 1
    )


def read_port(server: subprocess.Popen[str]) -> int:
    """Wait until uvicorn says where it listens."""
    assert server.stderr is not None
    for line in server.stderr:
        if "Uvicorn running on" in line:
            return int(line.split("127.0.0.1:")[1].split()[0])
    raise SystemExit("the server ended before it listened")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--connections", type=int, default=50)
    options.add_argument("--seconds", type=float, default=30)
    options.add_argument("--pause", type=float, default=0.05)
    options.add_argument("--publish-every", type=float, default=2)
    given = options.parse_args()
    measured = measure(given.connections, given.seconds, given.pause, given.publish_every)
    for figure, value in measured.items():
        print(f"{figure:<28}{value:.2f}")
    sys.exit(0 if keeps_its_goals(measured) else 1)
