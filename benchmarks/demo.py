"""What `make demo` costs after installation: wall time and memory of all its processes.

`python -m benchmarks.demo` lets two coins live through the demo's days, and
`python -m benchmarks.demo all` twenty.
"""

import os
import sys
import tempfile
from pathlib import Path

from benchmarks._memory import peak_of


def measure(symbols: str | None = None) -> tuple[float, float]:
    """Run the demo in a folder of its own; give its seconds and its peak in MiB."""
    command = [str(Path(sys.executable).parent / "crypto-pool"), "demo"]
    command += ["--symbols", symbols] if symbols else []
    kept = {name: value for name, value in os.environ.items() if "CRYPTO_POOL_" not in name}
    with tempfile.TemporaryDirectory() as folder:
        return peak_of(command, Path(folder), {**kept, "DAGSTER_HOME": folder})


def figures() -> dict[str, float]:
    """Measure the demo of two coins, and of all."""
    seconds, mebibytes = measure()
    all_seconds, all_mebibytes = measure("all")
    return {
        "demo_s": seconds,
        "demo_mib": mebibytes,
        "demo_of_all_s": all_seconds,
        "demo_of_all_mib": all_mebibytes,
    }


if __name__ == "__main__":
    spent, largest = measure(*sys.argv[1:2])
    print(f"{spent:.0f} s, at most {largest:.0f} MiB")
