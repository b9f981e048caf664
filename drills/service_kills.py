"""SIGKILL of the run worker and of the daemon of a running `crypto-pool up`, day after day.

A twin lives through the same days undisturbed, in one process, and both must end the same.
"""

import tempfile
from pathlib import Path
from typing import Any

from drills._pool import DrillPool
from drills._real_life import DAEMON, WORKER
from drills.forty_days import Plan, live_in
from drills.kills import _compare

LEFT = ("services_begun_again", "runs_made_again", "unfinished_runs", "slots_held")
COUNTED = ("killed", *LEFT, "mlflow_running", "gaps", "duplicates", "late")


def run(days: int = 10) -> dict[str, Any]:
    """Kill once a day while its daily run works; give what was left and what differs."""
    victims = {str(day): (DAEMON if day % 2 else WORKER) for day in range(1, days)}
    with tempfile.TemporaryDirectory() as folder:
        hurt, twin = Path(folder) / "hurt", Path(folder) / "twin"
        figures = live_in(hurt, Plan(days, outages={}, kills=victims))
        live_in(twin, Plan(days, outages={}, kills={}, real=False))
        return {
            "days": days,
            **{name: figures[name] for name in COUNTED},
            **_compare(DrillPool(hurt), DrillPool(twin)),
        }
