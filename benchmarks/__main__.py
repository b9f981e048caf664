"""Run every benchmark, print the figures and keep them with the commit and the machine.

A benchmark is a module with `figures() -> dict`: figures by name, with their unit in the name.
`python -m benchmarks start demo` runs some and keeps nothing.
"""

import json
import os
import pkgutil
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

FOLDER = Path(__file__).parent
MODULES = sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]))
BENCHMARKS = [name for name in MODULES if not name.startswith("_")]
RESULTS = FOLDER / "results" / "latest.json"


def main(chosen: list[str]) -> None:
    """Run the chosen benchmarks, or all."""
    unknown = sorted(set(chosen) - set(BENCHMARKS))
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    results: dict[str, Any] = {"commit": _commit(), "machine": _machine()}
    measured: dict[str, float] = {}
    for name in chosen or BENCHMARKS:
        print(f"{name} ...", flush=True)
        measured |= import_module(f"benchmarks.{name}").figures()
    print(f"\ncommit {results['commit']}")
    print(", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    for name, value in measured.items():
        print(f"{name:<28}{value:>12.2f}")
    if not chosen:
        RESULTS.parent.mkdir(exist_ok=True)
        rounded = {name: round(value, 4) for name, value in measured.items()}
        RESULTS.write_text(json.dumps(results | _larger_pools() | rounded, indent=2) + "\n")


def _larger_pools() -> dict[str, float]:
    """Give the kept figures of pools that take longer than all the other benchmarks."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return {name: value for name, value in kept.items() if name.startswith("pool_of_")}


def _commit() -> str:
    """Name the commit, and say so where files differ from it."""
    described = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(
        described, cwd=FOLDER, check=True, capture_output=True, text=True
    ).stdout.strip()


def _machine() -> dict[str, Any]:
    """Describe the machine, and how busy it is before the first benchmark."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load_average_1min": round(os.getloadavg()[0], 2),
        "measured_at_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
