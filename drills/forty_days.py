"""The pool lives through simulated days by its own schedule and sensors, and is hurt on the way.

Each day the schedule and both sensors are evaluated at simulated times, and what they ask for is
executed by the services of `crypto-pool up` against the sandbox server. The provider fails twice,
its quota is exhausted once, and a run worker and the daemon are killed while they work.
`python -m drills forty_days` prints the figures.
"""

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import dagster as dg

from drills._life import FIRST_DAY, InProcessLife, Life, environment, execute, set_clock
from drills._pool import ROOT, figures_of

EVALUATIONS = (
    (0, 20, "daily_features"),
    (0, 21, "daily_outcomes"),
    (0, 22, "daily_pool"),
    (0, 40, "retrain_stale"),
    (0, 45, "retrain_stale"),
    (1, 30, "catch_up"),
    (3, 30, "catch_up"),
)
QUEUE = """
run_coordinator:
  module: dagster._core.run_coordinator.queued_run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
"""
UP_SAYS_AGAIN = "it is started again"


@dataclass(frozen=True)
class Plan:
    """How long the pool lives, and on which of its days what befalls it.

    `real` has the services of `crypto-pool up` execute the runs, instead of one process;
    `settings` come on top of those of every life.
    """

    days: int = 40
    outages: Mapping[str, str] = field(
        default_factory=lambda: {"9": "5xx", "10": "5xx", "20": "garbage", "27": "quota"}
    )
    kills: Mapping[str, str] = field(default_factory=lambda: {"5": "worker", "12": "daemon"})
    real: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)


def run(plan: Plan | None = None) -> dict[str, Any]:
    """Give the figures of a life."""
    with tempfile.TemporaryDirectory() as folder:
        return live_in(Path(folder), plan or Plan())


def live_in(home: Path, plan: Plan) -> dict[str, Any]:
    """Live a life in a folder, in a process of its own; give its figures."""
    make_home(home)
    set_clock(home, datetime.combine(FIRST_DAY, time(), UTC))
    told = ("live", json.dumps(vars(plan)))
    return figures_of("drills.forty_days", told, environment(home, plan.settings))


def make_home(home: Path) -> None:
    """Configure Dagster as the pool does; its queue is looked at each second, for time's sake."""
    home.mkdir(exist_ok=True)
    own = (ROOT / "dagster_home" / "dagster.yaml").read_text()
    (home / "dagster.yaml").write_text(f"{own}\n{QUEUE}")


def live(plan: Plan) -> dict[str, Any]:
    """Live through the plan's days and count what is left of them."""
    from crypto_pool.building import open_instance
    from crypto_pool.domain.request_plans import UNLIMITED
    from crypto_pool.sandbox.faults import Fault, SwitchedFault
    from crypto_pool.sandbox.server import SandboxMarketServer, serving
    from crypto_pool.settings import Settings, load_settings

    bars = Settings().synthetic_market().bars  # type: ignore[call-arg]
    market = SandboxMarketServer(bars, UNLIMITED, window=None)
    begun = monotonic()
    with serving(market) as address:
        os.environ["CRYPTO_POOL_SANDBOX_URL"] = address
        load_settings.cache_clear()
        with open_instance(load_settings()) as instance:
            with _life(plan, instance, market) as life:
                for number in range(plan.days):
                    print(f"  day {number + 1} of {plan.days}", file=sys.stderr, flush=True)
                    fault = plan.outages.get(str(number))
                    market.switched[:] = [SwitchedFault(Fault(fault))] if fault else []
                    _live_day(
                        life, FIRST_DAY + timedelta(days=number + 1), plan.kills.get(str(number))
                    )
            return {
                "days_lived": plan.days,
                "minutes": round((monotonic() - begun) / 60, 1),
                **_figures(plan, life),
            }


@contextmanager
def _life(plan: Plan, instance: dg.DagsterInstance, market: Any) -> Iterator[Life]:
    if not plan.real:
        yield InProcessLife(instance, market)
        return
    from drills._real_life import RealLife
    from drills._services import running_up

    with running_up(Path(os.environ["DAGSTER_HOME"])) as services:
        yield RealLife(instance, market, services)


def _live_day(life: Life, today: date, victim: str | None) -> None:
    """Evaluate the schedule and the sensors of a day; a victim dies with the daily run."""
    for hour, minute, name in EVALUATIONS:
        life.go_to(datetime.combine(today, time(hour, minute), UTC))
        requests = life.tick(name)
        if requests:
            life.execute(requests, victim or "")
            victim = None


def _figures(plan: Plan, life: Life) -> dict[str, Any]:
    from crypto_pool.adapters.prediction_tables import query
    from crypto_pool.defs.resources import PoolResource
    from crypto_pool.settings import load_settings

    folder = load_settings().state_dir

    def count(sql: str) -> int:
        return int(query(folder, f"SELECT count(*) FROM ({sql})").iloc[0, 0])

    key = "prediction_date, symbol, trend"
    runs = life.instance.get_runs()
    registry = PoolResource(bar_date="", only=[]).registry
    experiments = [found.experiment_id for found in registry.client.search_experiments()]
    running = registry.client.search_runs(experiments, "attributes.status = 'RUNNING'")
    log = folder.parent / "up.log"
    return {
        "days_of_predictions": count("SELECT DISTINCT prediction_date FROM predictions"),
        "days_of_outcomes": count("SELECT DISTINCT prediction_date FROM prediction_outcomes"),
        "members_with_champion": count("SELECT DISTINCT symbol, trend FROM champions"),
        "predictions": count("SELECT * FROM predictions"),
        "gaps": len(_pending(plan.days)),
        "duplicates": count(f"SELECT {key} FROM predictions GROUP BY ALL HAVING count(*) > 1"),
        "late": count("SELECT * FROM predictions WHERE late"),
        "training_runs": life.asked["training"],
        "decisions": count("SELECT * FROM promotions"),
        "asked_for": dict(life.asked),
        "killed": dict(life.killed),
        "services_begun_again": log.read_text().count(UP_SAYS_AGAIN) if log.exists() else 0,
        "runs": dict(Counter(str(run.status.value) for run in runs)),
        "runs_made_again": sum("dagster/retry_number" in run.tags for run in runs),
        "unfinished_runs": sum(not run.is_finished for run in runs),
        "slots_held": len(life.instance.event_log_storage.get_concurrency_run_ids()),
        "mlflow_running": len(running),
        "checks": _checks(life.instance),
    }


def _checks(instance: dg.DagsterInstance) -> dict[str, int]:
    """How often each check of the members was evaluated."""
    from crypto_pool.defs import member_checks

    names = {
        key.name
        for check in dg.load_asset_checks_from_modules([member_checks])
        for key in check.check_keys
    }
    counts: Counter[str] = Counter()
    for run in instance.get_runs():
        records = instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
        events = [record.event_log_entry.dagster_event for record in records]
        found = [event.asset_check_evaluation_data.check_name for event in events if event]
        counts.update(name for name in found if name in names)
    return dict(counts)


def _pending(days: int) -> tuple[date, ...]:
    """Days that lack the forecast of a member."""
    from crypto_pool.defs.resources import PoolResource
    from crypto_pool.workflow.day_plan import CatchUpWindow, plan_days

    pool = PoolResource(bar_date="", only=[])
    settings = pool.settings
    window = CatchUpWindow(settings.last_closed(), FIRST_DAY, catch_up_days=days)
    return tuple(plan_days(pool.store, pool.members, window).forecast)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what libraries print off the last line of the output."""
    out = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(out, 1)
        os.close(out)


def main(verb: str, what: str) -> None:
    """Live a whole life, or be the worker of one run."""
    if verb == "live":
        with _quiet():
            figures = live(Plan(**json.loads(what)))
        print(json.dumps(figures))
        return
    from crypto_pool.building import open_instance
    from crypto_pool.settings import load_settings

    with open_instance(load_settings()) as instance:
        print("working", flush=True)
        execute(instance, dg.deserialize_value(what, dg.RunRequest))


if __name__ == "__main__":
    main(*sys.argv[1:])
