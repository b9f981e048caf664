"""What a pool of 5,000 members costs between its trainings: ticks, tables, storage.

One member is trained for real; its MLflow run, registered version, tables and materialisations
are then written for all others: into MLflow's own database row by row, through the Parquet store,
and through Dagster's instance. So the rows are real in number and size, and only the model file and
the training rows are shared by all.
`python -m benchmarks.five_thousand [MEMBERS]` keeps the figures and renews the table in
docs/scale-out.md.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks._copies import ALGORITHMS, DAY, Template, fill

if TYPE_CHECKING:
    import dagster as dg

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "scale-out.md"
RESULTS = Path(__file__).parent / "results" / "latest.json"
TABLE = re.compile(r"(?<=<!-- five_thousand -->\n).*?(?=<!-- /five_thousand -->)", re.DOTALL)
LOADED_MODELS = 100
SETTINGS = {
    "SANDBOX_SEED": "3",
    "SANDBOX_PREDICTABILITY": "0.5",
    "TRAINING_ROWS": "500",
    "EXPLAINED_ROWS": "10",
    "SIMULATED_NOW": f"{DAY + timedelta(days=1)}T12:00:00+00:00",
}


def figures(members: int = 500) -> dict[str, float]:
    """Measure a pool in a process and a folder of its own; by default a tenth of 5,000."""
    symbols = ",".join(["AAA", *(f"C{number:04d}" for number in range(1, members // 2))])
    own = {f"CRYPTO_POOL_{name}": value for name, value in {**SETTINGS, "SYMBOLS": symbols}.items()}
    kept = {name: value for name, value in os.environ.items() if "CRYPTO_POOL_" not in name}
    with tempfile.TemporaryDirectory() as home:
        measured = subprocess.run(
            [sys.executable, "-m", "benchmarks.five_thousand", "--inside"],
            env={**kept, **own, "DAGSTER_HOME": home, "KERAS_BACKEND": "jax"},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found: dict[str, float] = json.loads(measured.stdout.splitlines()[-1])
    return {f"pool_of_{members}_{name}": value for name, value in found.items()}


def measure() -> dict[str, float]:
    """Fill the pool of the environment and measure it."""
    begun = perf_counter()
    from crypto_pool.definitions import defs

    repository = defs.get_repository_def()
    found = {"code_location_load_s": perf_counter() - begun}
    from crypto_pool.building import PUBLICATION, open_instance, run_layers
    from crypto_pool.defs.assets.models import candidate_key, champion
    from crypto_pool.defs.resources import PoolResource
    from crypto_pool.settings import load_settings

    settings, pool = load_settings(), PoolResource(bar_date="", only=[])
    with open_instance(settings) as instance:
        template = Template.train(pool, instance)
        found["fill_s"] = _seconds(lambda: fill(pool, instance, template))
        names = [member.name for member in pool.members]
        for key in (champion.key, candidate_key(ALGORITHMS[0])):
            assert len(instance.get_materialized_partitions(key)) == len(names)
        found["partition_status_s"] = _seconds(
            lambda: instance.get_materialized_partitions(champion.key)
        )
        registry = pool.registry
        found["registry_aliases_s"] = _seconds(registry.aliases)
        found["registry_champions_s"] = _seconds(lambda: registry.champions(names))
        loaded = names[:LOADED_MODELS]
        found["model_load_ms"] = (
            _seconds(lambda: [registry.load(name, "1") for name in loaded]) / len(loaded) * 1000
        )
        for name in ("retrain_stale", "catch_up", "daily_pool"):
            found[f"{name}_tick_s"] = _seconds(lambda name=name: _tick(repository, instance, name))
        published = []
        found["publish_s"] = _seconds(
            lambda: published.append(
                run_layers(instance, settings, DAY, (PUBLICATION,), lambda _: None)
            )
        )
        assert not published[0].failures, published[0].failures
    found |= _storage(settings.state_dir, settings.dagster_home.resolve(), len(names))
    return found


def _tick(repository: Any, instance: "dg.DagsterInstance", name: str) -> Any:
    """Evaluate a schedule or a sensor as the daemon does."""
    import dagster as dg

    from crypto_pool.defs.resources import PoolResource
    from crypto_pool.settings import load_settings

    resources = {"pool": PoolResource(bar_date="", only=[])}
    if repository.has_schedule_def(name):
        at = dg.build_schedule_context(
            instance, scheduled_execution_time=load_settings().now(), resources=resources
        )
        return repository.get_schedule_def(name).evaluate_tick(at)
    context = dg.build_sensor_context(instance, resources=resources)
    return repository.get_sensor_def(name).evaluate_tick(context)


def _storage(state: Path, home: Path, members: int) -> dict[str, float]:
    files = [path for path in (state / "parquet").rglob("*") if path.is_file()]
    databases = [path for path in home.rglob("*.db") if state not in path.parents]
    published = (state / "crypto_pool.duckdb").resolve().stat().st_size
    return {
        "parquet_files": float(len(files)),
        "parquet_mib": sum(path.stat().st_size for path in files) / 2**20,
        "dagster_mib": sum(path.stat().st_size for path in databases) / 2**20,
        "mlflow_mib": (state / "mlflow" / "mlflow.db").stat().st_size / 2**20,
        "duckdb_mib": published / 2**20,
        "artifacts_kib_a_candidate": _size(state / "mlflow" / "artifacts")
        / 2**10
        / len(ALGORITHMS),
        "members": float(members),
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _seconds(act: Callable[[], Any]) -> float:
    begun = perf_counter()
    act()
    return perf_counter() - begun


def keep(members: int, found: dict[str, float]) -> None:
    """Put the figures of one size beside those of others, and the table into the page."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results |= {name: round(value, 4) for name, value in found.items()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    PAGE.write_text(TABLE.sub(lambda _: "\n".join([*table(results), ""]), PAGE.read_text()))


def table(results: dict[str, Any]) -> Iterator[str]:
    """Rows of the page's table, one figure a row and one size of pool a column."""
    sizes: dict[int, dict[str, float]] = {}
    for key, value in results.items():
        named = re.fullmatch(r"pool_of_(\d+)_(.+)", key)
        if named is not None:
            sizes.setdefault(int(named[1]), {})[named[2]] = value
    columns = sorted(sizes)
    yield "| figure | " + " | ".join(f"{size} members" for size in columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for name in sizes[columns[-1]]:
        if name != "members":
            values = (sizes[size].get(name) for size in columns)
            cells = ("" if value is None else f"{value:.2f}" for value in values)
            yield f"| `{name}` | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    if sys.argv[1:] == ["--inside"]:
        with redirect_stdout(sys.stderr):
            inside = measure()
        print(json.dumps(inside))
    else:
        chosen = int(sys.argv[1]) if sys.argv[1:] else 5000
        measured = figures(chosen)
        keep(chosen, measured)
        for figure, amount in measured.items():
            print(f"{figure:<48}{amount:>12.2f}")
