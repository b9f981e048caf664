"""How long the pool takes to start: the code location and the command line."""

import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

REPEATS = 5


def figures() -> dict[str, float]:
    """Measure both and give the medians."""
    scripts = Path(sys.executable).parent
    return {
        "code_location_load_s": _median_seconds(
            [str(scripts / "dagster"), "definitions", "validate", "-m", "crypto_pool.definitions"]
        ),
        "cli_start_s": _median_seconds([str(scripts / "crypto-pool"), "--help"]),
    }


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
