"""Run every benchmark, print the figures and keep them with the commit and the machine.

A benchmark is a module with `figures() -> dict`: figures by name, with their unit in the name.
`python -m benchmarks start demo` runs some, and puts their figures in place of those kept, with
the commit they were measured at; an unknown name lists them all.
"""

import json
import os
import pkgutil
import platform
import subprocess
import sys
import traceback
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from benchmarks import against_1_0_0, five_thousand
from benchmarks._pages import (
    DOCS,
    figure_table,
    goal_text,
    growth_table,
    renew,
    size_table,
)

FOLDER = Path(__file__).parent
MODULES = sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]))
BENCHMARKS = [name for name in MODULES if not name.startswith("_")]
RESULTS = FOLDER / "results" / "latest.json"
PAGE = DOCS / "benchmarks.md"
# The most a figure may be; below 0, the least.
GOALS = {
    **against_1_0_0.GOALS,
    "pool_build_ratio": 1.4,
    "classic_speedup": -80.0,
    "classic_speedup_without_explanations": -25.0,
    "daily_job_s": 15.0,
    "code_location_load_s": 3.0,
    "code_location_over_dagster_s": 1.0,
    "cli_start_s": 0.4,
    "status_s": 1.0,
    "demo_s": 180.0,
    "demo_mib": 3072.0,
    "demo_of_all_s": 720.0,
    "training_cost_ratio": 6.0,
    "explanation_s": 15.0,
    "explanation_error": 0.01,
    "mutation_score_domain": -0.93,
    "mutation_score_adapters": -0.85,
    "mutation_score_workflow": -0.8,
    "panel_fit_s": 2.0,
    "panel_all_origins_s": 60.0,
    "panel_new_day_s": 2.0,
    "serving_failed": 0.0,
    "serving_p50_ms": 5.0,
    "serving_p99_ms": 30.0,
}


def main(chosen: list[str]) -> None:
    """Run the chosen benchmarks, or all."""
    unknown = sorted(set(chosen) - set(BENCHMARKS))
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    commit, machine = _commit(), _machine()
    results = _kept() if chosen else {"commit": commit, "machine": machine}
    print(f"commit {commit}")
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    failed = []
    for name in chosen or BENCHMARKS:
        print(f"{name} ...", flush=True)
        try:
            found = import_module(f"benchmarks.{name}").figures()
        except (Exception, SystemExit) as fault:  # hours of measuring are not lost by one fault
            traceback.print_exc()
            failed.append(f"{name}: {fault}")
            continue
        growth = found.pop("growth", None)
        say(found, growth)
        results |= {name: round(float(value), 4) for name, value in found.items()}
        results |= {} if growth is None else {"growth": growth}
        if chosen:
            results["measured_again"] = {**results.get("measured_again", {}), name: commit}
        keep(results)
    if failed:
        sys.exit("\n".join(["not measured:", *failed]))


def say(found: dict[str, float], growth: dict[str, Any] | None) -> None:
    """Print figures beside their goals."""
    for name, value in found.items():
        missed = "  MISSED" if misses(name, value) else ""
        print(f"{name:<44}{value:>12.2f}  {goal_text(GOALS.get(name))}{missed}", flush=True)
    if growth is not None:
        print("\n".join(growth_table(growth)), flush=True)


def misses(name: str, value: float) -> bool:
    """Say whether a figure is beyond its goal."""
    goal = GOALS.get(name)
    if goal is None:
        return False
    return value < -goal if goal < 0 else value > goal


def keep(results: dict[str, Any]) -> None:
    """Write what was measured beside the figures of larger pools, and the tables of the page."""
    RESULTS.parent.mkdir(exist_ok=True)
    everything = _larger_pools() | results
    RESULTS.write_text(json.dumps(everything, indent=2) + "\n")
    renew(PAGE, "benchmarks", figure_table(results, GOALS))
    renew(PAGE, "growth", growth_table(results.get("growth", {})))
    renew(five_thousand.PAGE, "five_thousand", size_table(everything))


def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return kept


def _larger_pools() -> dict[str, Any]:
    """Give the kept figures of pools that take longer than all the other benchmarks."""
    return {name: value for name, value in _kept().items() if name.startswith("pool_of_")}


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
