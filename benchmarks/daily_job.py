"""From a closed bar to the published table, for every member of a built pool, data local.

A day after the build, the layers that need no training run in a process of their own: bars and
features, forecasts and outcomes, publication. What that process takes until Dagster and the code
location are loaded is named apart.
"""

import sys
from datetime import timedelta
from statistics import median

from benchmarks._pool import LAST_DAY, BuiltPool, built_pool, timed

DAYS = 3
PREPARE = """
from crypto_pool.building import open_instance, run_layers
from crypto_pool.defs.stages import FEATURES, PREDICTIONS, PUBLICATION
from crypto_pool.definitions import defs
from crypto_pool.settings import load_settings
"""
DAY = f"""
{PREPARE}
settings = load_settings()
with open_instance(settings) as instance:
    layers = (FEATURES, PREDICTIONS, PUBLICATION)
    report = run_layers(instance, settings, settings.last_closed(), layers, print)
raise SystemExit("; ".join(report.failures) or 0)
"""


def daily_seconds(pool: BuiltPool, days: int) -> tuple[float, float]:
    """The median seconds of the days after the build, and of the start of their processes."""
    jobs, starts = [], []
    for number in range(1, days + 1):
        environment = pool.environment_on(LAST_DAY + timedelta(days=number))
        jobs.append(timed([sys.executable, "-c", DAY], pool.home, environment))
        starts.append(timed([sys.executable, "-c", PREPARE], pool.home, environment))
    return median(jobs), median(starts)


def figures() -> dict[str, float]:
    """Measure the pool of all coins."""
    job, start = daily_seconds(built_pool("holdout"), DAYS)
    return {"daily_job_s": job, "daily_job_process_start_s": start}


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{name}: {value:.2f}")
