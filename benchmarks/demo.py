"""What `make demo` costs after installation: wall time and memory of all its processes.

`python -m benchmarks.demo` builds five coins, `python -m benchmarks.demo all` twenty. Memory is
the proportional set size: a page that processes share counts once.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import psutil

SAMPLE_SECONDS = 0.5


def measure(symbols: str | None = None) -> tuple[float, float]:
    """Run the demo in a folder of its own; give its seconds and its peak in MiB."""
    command = [str(Path(sys.executable).parent / "crypto-pool"), "demo"]
    command += ["--symbols", symbols] if symbols else []
    kept = {name: value for name, value in os.environ.items() if "CRYPTO_POOL_" not in name}
    with tempfile.TemporaryDirectory() as folder:
        started = perf_counter()
        process = subprocess.Popen(
            command,
            env={**kept, "DAGSTER_HOME": folder},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        peak = 0
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=SAMPLE_SECONDS)
            peak = max(peak, _proportional_bytes(process.pid))
        seconds = perf_counter() - started
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return seconds, peak / 2**20


def figures() -> dict[str, float]:
    """Measure the demo of five coins."""
    seconds, mebibytes = measure()
    return {"demo_s": seconds, "peak_rss_mib": mebibytes}


def _proportional_bytes(root: int) -> int:
    """Sum the memory of a process and all below it, as far as they still live."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        above = psutil.Process(root)
        for process in [above, *above.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
    return total


if __name__ == "__main__":
    spent, largest = measure(*sys.argv[1:2])
    print(f"{spent:.0f} s, at most {largest:.0f} MiB")
