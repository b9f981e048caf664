"""How long the pool takes to start: the code location, the command line, the API."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.serving_load import read_port

REPEATS = 7
DAGSTER = "import dagster"
CODE_LOCATION = "from crypto_pool.definitions import defs; defs.get_repository_def()"
PUBLISH = """
import sys
from pathlib import Path
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool_tests.pool_frames import pool_frames
publish(Path(sys.argv[1]) / "data", pool_frames())
"""


def figures() -> dict[str, float]:
    """Measure each and give the medians."""
    scripts = Path(sys.executable).parent
    own = [
        _seconds([sys.executable, "-c", CODE_LOCATION]) - _seconds([sys.executable, "-c", DAGSTER])
        for _ in range(REPEATS)
    ]
    return {
        "code_location_over_dagster_s": median(own),
        "code_location_load_s": _median_seconds(
            [str(scripts / "dagster"), "definitions", "validate", "-m", "crypto_pool.definitions"]
        ),
        "cli_start_s": _median_seconds([str(scripts / "crypto-pool"), "--help"]),
        "status_s": _status_seconds(str(scripts / "crypto-pool")),
        "server_start_s": median(_server_seconds() for _ in range(REPEATS)),
    }


def _status_seconds(command: str) -> float:
    """Of a pool of its own that is published."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", PUBLISH, folder], check=True)
        return _median_seconds([command, "--home", folder, "status"])


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
    return median(_seconds(command) for _ in range(REPEATS))


def _seconds(command: list[str]) -> float:
    begun = perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return perf_counter() - begun


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{name}: {value:.2f}")
