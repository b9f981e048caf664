"""The most memory a pool takes while it is built, while it is served and while it runs by itself.

All coins are built under the default policy. Then the services of `crypto-pool up` run on the same
pool until what the `catch_up` sensor asks for has been done: the next day from bars to forecasts.
A part is a service with all processes below it; runs are below the code server.
"""

import os
from datetime import timedelta
from unittest.mock import patch

import dagster as dg

from benchmarks._memory import watch
from benchmarks._pool import LAST_DAY, built_pool
from drills._life import job_of, selection_of
from drills._real_life import DAEMON_MODULE, requested
from drills._services import is_settled, running_up

PATIENCE_SECONDS = 900
SERVICES = {
    "serve": "crypto_pool.cli",
    "daemon": DAEMON_MODULE,
    "code_server": "--location-name",  # an option that no other is given
    "dagster_ui": "crypto_pool.commands.dagster_ui",
    "mlflow": "crypto_pool.commands.mlflow_ui",
}


def figures() -> dict[str, float]:
    """Give the peak of each part, and the highest of those but the two user interfaces."""
    built = built_pool("purged_walk_forward")
    environment = built.environment_on(LAST_DAY + timedelta(days=1))
    with patch.dict(os.environ, environment, clear=True), running_up(built.home) as services:
        instance = dg.DagsterInstance.from_config(str(built.home))
        with instance:
            requests = requested(services.tick_sensor("catch_up", None))
            assert requests, "the catch_up sensor asks for nothing"
            for request in requests:
                services.submit(job_of(request), selection_of(request), request)
            _, peaks = watch(services.up, lambda: is_settled(instance), PATIENCE_SECONDS)
            failed = [run.run_id for run in instance.get_runs() if run.is_failure]
            assert not failed, f"these runs failed: {failed}"
        parts = {"build": built.peak_mib}
        for name, word in SERVICES.items():
            process = services.process(word)
            assert process is not None, f"{name} does not run"
            parts[name] = peaks[process.pid]
    highest = max(parts[name] for name in ("build", "serve", "daemon", "code_server"))
    return {"peak_rss_mib": highest, **{f"peak_{name}_mib": value for name, value in parts.items()}}


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{name}: {value:.0f}")
