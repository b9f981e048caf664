"""The pool lives through simulated days by its own schedule and sensors, and is hurt on the way.

Each day the schedule and both sensors are evaluated at simulated times, and what they ask for is
executed against the sandbox server. The provider fails twice, its quota is exhausted once, and
the worker of one day's forecasts is killed. `python -m drills forty_days` prints the figures.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

ROOT = Path(__file__).parent.parent
FIRST_DAY = date(2023, 5, 1)
ALGORITHMS = ("RidgeClassifier", "LightGBM", "RandomForest")
SETTINGS = {
    "SYMBOLS": "BTC,ETH",
    "TRAINING_ROWS": "400",
    "EXPLAINED_ROWS": "10",
    "WORKERS": "1",
    "SANDBOX_PREDICTABILITY": "0.5",
    "RETRAIN_AFTER_DAYS": "15",
    "FIRST_PREDICTION_DATE": FIRST_DAY.isoformat(),
}


@dataclass(frozen=True)
class Plan:
    """How long the pool lives, and on which of its days what befalls it."""

    days: int = 40
    outages: Mapping[str, str] = field(
        default_factory=lambda: {"9": "5xx", "10": "5xx", "20": "garbage", "27": "quota"}
    )
    killed_on: int = 33


def run(plan: Plan | None = None) -> dict[str, Any]:
    """Give the figures of a life; it is lived in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "dagster_home" / "dagster.yaml", folder)
        lived = subprocess.run(
            [sys.executable, "-m", "drills.forty_days", "live", json.dumps(vars(plan or Plan()))],
            env=_environment(Path(folder)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    figures: dict[str, Any] = json.loads(lived.stdout.splitlines()[-1])
    return figures


def _environment(home: Path) -> dict[str, str]:
    own = {f"CRYPTO_POOL_{name}": value for name, value in SETTINGS.items()}
    others = {k: v for k, v in os.environ.items() if not k.startswith("CRYPTO_POOL_")}
    return {**others, **own, "DAGSTER_HOME": str(home), "KERAS_BACKEND": "jax"}


class Life:
    """One pool, the server it pulls from, and the clock both go by."""

    def __init__(self, instance: dg.DagsterInstance, market: Any) -> None:
        from crypto_pool.definitions import defs

        self.instance = instance
        self.market = market
        self.repository = defs.get_repository_def()
        self.cursor: str | None = None
        self.run_keys: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.moment = datetime.combine(FIRST_DAY, time(), UTC)

    def go_to(self, moment: datetime) -> None:
        """Set the clock of the pool and of the server."""
        from crypto_pool.settings import load_settings

        self.moment = moment
        self.market.now = lambda: moment
        os.environ["CRYPTO_POOL_SIMULATED_NOW"] = moment.isoformat()
        load_settings.cache_clear()

    def tick_schedule(self) -> list[dg.RunRequest]:
        """What the daily schedule asks for."""
        context = dg.build_schedule_context(
            self.instance, scheduled_execution_time=self.moment, resources=self._resources()
        )
        schedule = self.repository.get_schedule_def("daily_pool")
        return list(schedule.evaluate_tick(context).run_requests or [])

    def tick_sensor(self, name: str) -> list[dg.RunRequest]:
        """What a sensor asks for, without what it has asked for before."""
        context = dg.build_sensor_context(
            self.instance, cursor=self.cursor, resources=self._resources()
        )
        found = self.repository.get_sensor_def(name).evaluate_tick(context)
        if found.cursor is not None:
            self.cursor = found.cursor
        new = [one for one in found.run_requests or [] if one.run_key not in self.run_keys]
        self.run_keys |= {str(one.run_key) for one in new}
        return new

    def execute(self, requests: Sequence[dg.RunRequest]) -> None:
        """Execute runs one at a time by priority, as the queue does."""
        for request in sorted(requests, key=lambda r: -int(r.tags["dagster/priority"])):
            self.asked[_kind(request)] += 1
            execute(self.instance, request)

    def _resources(self) -> dict[str, Any]:
        from crypto_pool.defs.resources import PoolResource

        return {"pool": PoolResource(bar_date="", only=[])}


def execute(instance: dg.DagsterInstance, request: dg.RunRequest) -> None:
    """Execute one run request in this process; a failed run is the pool's to bear."""
    from crypto_pool.building import PROCESS_TAG, this_process
    from crypto_pool.definitions import defs
    from crypto_pool.defs.assets.models import candidate_key, champion
    from crypto_pool.defs.requests import ALL_ASSETS

    selection = request.asset_selection
    trains = selection is None
    if trains:  # fewer algorithms than the job has, for time's sake alone
        selection = [*(candidate_key(name) for name in ALGORITHMS), champion.key]
    job = defs.get_repository_def().get_job("train_members" if trains else ALL_ASSETS)
    job.execute_in_process(
        instance=instance,
        run_config={
            **request.run_config,
            "loggers": {"console": {"config": {"log_level": "ERROR"}}},
        },
        tags={**request.tags, PROCESS_TAG: this_process()},
        asset_selection=list(selection or []),
        raise_on_error=False,
    )


def live(plan: Plan) -> dict[str, Any]:
    """Live through the plan's days and count what is left of them."""
    from crypto_pool.building import open_instance, recover
    from crypto_pool.domain.request_plans import RequestPlan
    from crypto_pool.sandbox.faults import Fault, SwitchedFault
    from crypto_pool.sandbox.server import SandboxMarketServer, serving
    from crypto_pool.settings import Settings, load_settings

    bars = Settings().synthetic_market().bars  # type: ignore[call-arg]
    market = SandboxMarketServer(bars, RequestPlan(None, None, None), window=None)
    killed = 0
    with serving(market) as address:
        os.environ["CRYPTO_POOL_SANDBOX_URL"] = address
        load_settings.cache_clear()
        with open_instance(load_settings()) as instance:
            life = Life(instance, market)
            for number in range(plan.days):
                fault = plan.outages.get(str(number))
                market.switched[:] = [SwitchedFault(Fault(fault))] if fault else []
                for at, ask in _day(life, FIRST_DAY + timedelta(days=number + 1)):
                    life.go_to(at)
                    requests = ask()
                    if number == plan.killed_on and at.hour == 0 and requests:
                        *before, last = requests
                        life.execute(before)
                        killed += _kill(instance, last)
                        recover(instance, load_settings())
                        continue
                    life.execute(requests)
            return _figures(plan, life, killed)


def _day(life: Life, today: date) -> Iterator[tuple[datetime, Any]]:
    """When the schedule and the sensors are evaluated on a day."""
    evaluations = [
        (0, 20, life.tick_schedule),
        (0, 40, lambda: life.tick_sensor("retrain_stale")),
        (0, 45, lambda: life.tick_sensor("retrain_stale")),
        (1, 30, lambda: life.tick_sensor("catch_up")),
        (3, 30, lambda: life.tick_sensor("catch_up")),
    ]
    for hour, minute, ask in evaluations:
        yield datetime.combine(today, time(hour, minute), UTC), ask


def _kind(request: dg.RunRequest) -> str:
    key = str(request.run_key)
    return "training" if key.startswith("retrain_stale") else key.rsplit(":", 1)[-1]


def _kill(instance: dg.DagsterInstance, request: dg.RunRequest) -> int:
    """Start a worker for a run and kill it once the run has begun."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "drills.forty_days", "work", dg.serialize_value(request)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    for line in worker.stdout:
        if line.startswith("working"):
            break
    before = set(_started(instance))
    while not set(_started(instance)) - before and worker.poll() is None:
        pass
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    return int(worker.returncode == -signal.SIGKILL)


def _started(instance: dg.DagsterInstance) -> list[str]:
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    return [run.run_id for run in instance.get_runs(filters)]


def _figures(plan: Plan, life: Life, killed: int) -> dict[str, Any]:
    from crypto_pool.adapters.prediction_tables import query
    from crypto_pool.settings import load_settings

    folder = load_settings().state_dir

    def count(sql: str) -> int:
        return int(query(folder, f"SELECT count(*) FROM ({sql})").iloc[0, 0])

    key = "prediction_date, symbol, trend"
    unfinished = [run.run_id for run in life.instance.get_runs() if not run.is_finished]
    return {
        "days_lived": plan.days,
        "days_of_predictions": count("SELECT DISTINCT prediction_date FROM predictions"),
        "days_of_outcomes": count("SELECT DISTINCT prediction_date FROM prediction_outcomes"),
        "members_with_champion": count("SELECT DISTINCT symbol, trend FROM champions"),
        "predictions": count("SELECT * FROM predictions"),
        "gaps": len(_owed(plan.days)),
        "duplicates": count(f"SELECT {key} FROM predictions GROUP BY ALL HAVING count(*) > 1"),
        "late": count("SELECT * FROM predictions WHERE status = 'late'"),
        "training_runs": life.asked["training"],
        "decisions": count("SELECT * FROM promotions"),
        "killed_workers": killed,
        "unfinished_runs": len(unfinished),
        "runs": dict(life.asked),
        "checks": _checks(life.instance),
    }


def _checks(instance: dg.DagsterInstance) -> dict[str, int]:
    """How often each check of the members was evaluated."""
    from crypto_pool.defs.member_checks import member_checks

    names = {key.name for check in member_checks for key in check.check_keys}
    counts: Counter[str] = Counter()
    for run in instance.get_runs():
        records = instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
        events = [record.event_log_entry.dagster_event for record in records]
        found = [event.asset_check_evaluation_data.check_name for event in events if event]
        counts.update(name for name in found if name in names)
    return dict(counts)


def _owed(days: int) -> tuple[date, ...]:
    """Days that lack the forecast of a member that had a champion then."""
    from crypto_pool.adapters.ledger import Ledger
    from crypto_pool.defs.resources import PoolResource
    from crypto_pool.workflow.day_plan import Horizon, plan_days

    pool = PoolResource(bar_date="", only=[])
    settings = pool.settings
    horizon = Horizon(
        settings.last_closed(), FIRST_DAY, settings.prediction_window_days, catch_up_days=days
    )
    return plan_days(pool.store, pool.members, Ledger(pool.store).by_member(), horizon).forecast


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
