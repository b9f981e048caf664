"""How long the pool takes to start: the code location, the command line, the API."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.serving_load import read_port

REPEATS = 5


def figures() -> dict[str, float]:
    """Measure each and give the medians."""
    scripts = Path(sys.executable).parent
    return {
        "code_location_load_s": _median_seconds(
            [str(scripts / "dagster"), "definitions", "validate", "-m", "crypto_pool.definitions"]
        ),
        "cli_start_s": _median_seconds([str(scripts / "crypto-pool"), "--help"]),
        "server_start_s": median(_server_seconds() for _ in range(REPEATS)),
    }


def _server_seconds() -> float:
    """From the command until it listens."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).parent / "crypto-pool"), "serve", "--port", "0"]
        kept = {name: value for name, value in os.environ.items() if "CRYPTO_POOL_" not in name}
        begun = perf_counter()
        server = subprocess.Popen(
            command,
            env={**kept, "DAGSTER_HOME": folder},
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        with server:
            read_port(server)
            seconds = perf_counter() - begun
            server.terminate()
    return seconds


def _median_seconds(command: list[str]) -> float:
    seconds = []
    for _ in range(REPEATS):
        begun = perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(perf_counter() - begun)
    return median(seconds)


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{name}: {value:.2f}")
