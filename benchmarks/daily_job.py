"""From a closed bar to the published table, for every member of a built pool, data local.

A day after the build, the layers that need no training run in a process of their own: bars and
features, forecasts and outcomes, publication. What that process takes until Dagster and the code
location are loaded is named apart.
"""

import sys
from datetime import timedelta
from statistics import median

from benchmarks._pool import LAST_DAY, built_pool, environment_of, timed

DAYS = 3
PREPARE = """
from crypto_pool.building import FEATURES, PREDICTIONS, PUBLICATION, open_instance, run_layers
from crypto_pool.definitions import defs
from crypto_pool.settings import load_settings
"""
DAY = f"""
{PREPARE}
settings = load_settings()
with open_instance(settings) as instance:
    layers = (FEATURES, PREDICTIONS, PUBLICATION)
    report = run_layers(instance, settings, settings.last_closed(), layers, print)
raise SystemExit("; ".join(report.failures))
"""


def figures() -> dict[str, float]:
    """Give the medians over some days."""
    built = built_pool("holdout")
    days, starts = [], []
    for number in range(1, DAYS + 1):
        own = environment_of(built.home, LAST_DAY + timedelta(days=number))
        environment = {**built.environment, **own}
        days.append(timed([sys.executable, "-c", DAY], built.home, environment))
        starts.append(timed([sys.executable, "-c", PREPARE], built.home, environment))
    return {"daily_job_s": median(days), "daily_job_process_start_s": median(starts)}


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{name}: {value:.2f}")
