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
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import perf_counter, time

from benchmarks._copies import ALGORITHMS, DAY, Template, fill, live_a_day
from benchmarks._inside import seconds_of, storage, tick
from benchmarks._pages import DOCS, renew, size_table

ROOT = Path(__file__).parent.parent
PAGE = DOCS / "scale-out.md"
RESULTS = Path(__file__).parent / "results" / "latest.json"
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
    from crypto_pool.adapters.prediction_tables import LINK_NAME
    from crypto_pool.building import open_instance, run_layers
    from crypto_pool.defs.assets.models import candidate_key, champion
    from crypto_pool.defs.resources import PoolResource
    from crypto_pool.defs.stages import PUBLICATION
    from crypto_pool.settings import load_settings

    settings, pool = load_settings(), PoolResource(bar_date="", only=[])
    with open_instance(settings) as instance:
        template = Template.train(pool, instance)
        found["fill_s"] = seconds_of(lambda: fill(pool, instance, template))
        names = [member.name for member in pool.members]
        for key in (champion.key, candidate_key(ALGORITHMS[0])):
            assert len(instance.get_materialized_partitions(key)) == len(names)
        found["partition_status_s"] = seconds_of(
            lambda: instance.get_materialized_partitions(champion.key)
        )
        from crypto_pool.adapters.ledger import Ledger
        from crypto_pool.workflow.promotion.reconciling import champions_of

        registry = pool.registry
        found["registry_aliases_s"] = seconds_of(registry.versions.aliases)
        found["registry_champions_s"] = seconds_of(
            lambda: champions_of(registry, Ledger(pool.store).by_member(), pool.members)
        )
        loaded = names[:LOADED_MODELS]
        hashes = {name: registry.versions.get(name, "1").model_hashes for name in loaded}
        found["model_load_ms"] = (
            seconds_of(lambda: [registry.versions.load(name, "1", hashes[name]) for name in loaded])
            / len(loaded)
            * 1000
        )

        def publish() -> tuple[float, float]:
            """Give the seconds until the file is there, and until the run has ended."""
            begun, now = perf_counter(), time()
            done = run_layers(instance, settings, DAY, (PUBLICATION,), lambda _: None)
            assert not done.failures, done.failures
            there = (settings.state_dir / LINK_NAME).resolve().stat().st_mtime - now
            return there, perf_counter() - begun

        found["publish_all_s"], found["publish_all_run_s"] = publish()
        live_a_day(pool, template)
        found["publish_s"], found["publish_run_s"] = publish()
        for name in ("retrain_stale", "catch_up", "daily_pool", "alert_incidents"):
            before = getrusage(RUSAGE_SELF).ru_maxrss
            found[f"{name}_tick_s"] = seconds_of(lambda name=name: tick(repository, instance, name))
            grown = getrusage(RUSAGE_SELF).ru_maxrss - before
            found[f"{name}_tick_grows_mib"] = grown / 2**10
    kept = storage(settings.state_dir, settings.dagster_home.resolve())
    candidate_kib = kept.pop("artifacts_mib") * 2**10 / len(ALGORITHMS)  # of the template alone
    return {**found, **kept, "artifacts_kib_a_candidate": candidate_kib, "members": len(names)}


def keep(members: int, found: dict[str, float]) -> None:
    """Put the figures of one size beside those of others, and the table into the page."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results |= {name: round(value, 4) for name, value in found.items()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    renew(PAGE, "five_thousand", size_table(results))


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
