"""The pool past one machine: Postgres, an S3-compatible store and a Dask cluster, by settings.

A pool on these engines lives through the same days as a twin on SQLite, local folders and local
processes, while parts of its world are hurt; both must end the same.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from crypto_pool_tests.stages import FEW, STAGES
from drills import kills
from drills._engines import (
    BUCKET,
    DaskCluster,
    Postgres,
    dask_cluster,
    object_store,
    postgres,
    set_environment,
)
from drills._pool import ROOT, DrillPool, shortened

DAY = date(2023, 5, 10)
EVERYTHING = ",".join(STAGES)
NOBODY_LISTENS = "http://127.0.0.1:9"
TRAINED = "1/"


@dataclass(frozen=True)
class Engines:
    """What the pool of this drill runs on."""

    postgres: Postgres
    store: Mapping[str, str]
    dask: DaskCluster


def run(symbols: str = "BTC,ETH", algorithms: str = "all", hurt: int = 3) -> dict[str, Any]:
    """Compare the pool on all engines with its twin, and hurt it `hurt` times by SIGKILL."""
    from crypto_pool.domain.candidates import CANDIDATES

    chosen = tuple(CANDIDATES) if algorithms == "all" else FEW
    with engines() as found, tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        twin = replace(DrillPool.make(home / "twin", SYMBOLS=symbols), algorithms=chosen)
        figures: dict[str, Any] = {"local_s": _seconds(twin)}
        pool = pool_on(found, home / "pool", "pool", symbols, chosen)
        if hurt:
            whole = pool_on(found, home / "whole", "whole", symbols, chosen, own_databases=False)
            figures["cluster_s"] = _seconds(whole)
            figures |= _named("cluster", kills._compare(whole, twin))
        figures["cluster_with_killed_worker_s"] = _train_while_a_worker_dies(pool, found.dask)
        figures |= _named("killed_worker", kills._compare(pool, twin))
        figures["copy_is_the_publication"] = _copy_is_the_publication(pool)
        figures |= _old_candidates(pool)
        figures |= _faults(pool, found)
        if hurt:
            figures |= _kill_stages(pool, twin, hurt)
        return figures


@contextmanager
def engines() -> Iterator[Engines]:
    """Start all of them; this process finds them too."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres())
        store = stack.enter_context(object_store())
        cluster = stack.enter_context(dask_cluster(2, **store))
        stack.enter_context(
            set_environment({**store, "DAGSTER_POSTGRES_URL": server.uri("dagster")})
        )
        yield Engines(server, store, cluster)


def pool_on(
    found: Engines,
    home: Path,
    prefix: str,
    symbols: str,
    algorithms: tuple[str, ...],
    *,
    own_databases: bool = True,
) -> DrillPool:
    """An empty pool on the engines, or with SQLite and folders where only Dask is theirs."""
    remote = f"s3://{BUCKET}/{prefix}"
    pool = DrillPool.make(home, SYMBOLS=symbols, DASK_SCHEDULER=found.dask.scheduler)
    if not own_databases:
        return replace(pool, algorithms=algorithms)
    shutil.copy(ROOT / "deploy" / "dagster.postgres.yaml", home / "dagster.yaml")
    settings = {
        **pool.settings,
        "MLFLOW_BACKEND_URI": found.postgres.uri("mlflow"),
        "MLFLOW_ARTIFACT_ROOT": f"{remote}/artifacts",
        "PARQUET_ROOT": f"{remote}/parquet",
        "PUBLICATION_ROOT": remote,
    }
    reached = {**found.store, "DAGSTER_POSTGRES_URL": found.postgres.uri("dagster")}
    return replace(pool, settings=settings, engines=reached, algorithms=algorithms)


def _seconds(pool: DrillPool) -> float:
    begun = monotonic()
    pool.complete(EVERYTHING, DAY)
    return round(monotonic() - begun, 1)


def _train_while_a_worker_dies(pool: DrillPool, cluster: DaskCluster) -> float:
    """Run everything; when the first candidate is there, one of the workers is killed."""
    begun = monotonic()
    printed, killed = [], False
    with pool.start(EVERYTHING, DAY) as process:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            if not killed and line.strip().startswith(TRAINED):
                cluster.kill_worker()
                killed = True
    if process.returncode or not killed:
        raise RuntimeError(f"killed a worker: {killed}; {''.join(printed)[-4000:]}")
    return round(monotonic() - begun, 1)


def _named(name: str, compared: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}_{figure}": value for figure, value in compared.items()}


def _copy_is_the_publication(pool: DrillPool) -> bool:
    """Whether the object store has the file that the link points at."""
    import fsspec

    from crypto_pool.adapters.prediction_tables import LINK_NAME

    with fsspec.open(f"{pool.settings['PUBLICATION_ROOT']}/{LINK_NAME}") as copy:
        same: bool = copy.read() == (pool.data / LINK_NAME).read_bytes()
    return same


def _old_candidates(pool: DrillPool) -> dict[str, Any]:
    """Remove candidates nobody registered, from the object store too; champions must load."""
    registry = pool.registry
    kept = registry.versions.registered_runs()
    count, size = registry.upkeep.remove_old(kept, datetime.now(UTC))
    loaded = [
        registry.versions.load(name, aliases["champion"])
        for name, aliases in registry.versions.aliases().items()
        if "champion" in aliases
    ]
    return {
        "candidates_removed": count,
        "candidates_removed_bytes": size,
        "champions_loaded": len(loaded),
    }


def _faults(pool: DrillPool, found: Engines) -> dict[str, Any]:
    """Take engines away one by one: each is named, and the same command comes through after."""
    said = {}
    unreachable = replace(pool, engines={**pool.engines, "AWS_ENDPOINT_URL": NOBODY_LISTENS})
    said["object_store_gone"] = (unreachable.run("publish", DAY), ("does not answer", BUCKET))
    found.postgres.stop()
    try:
        said["postgres_gone"] = (pool.run("publish", DAY), (str(found.postgres.port), "refused"))
    finally:
        found.postgres.start()
    faults = {
        name: {
            "failed": code != 0,
            "named": all(word in text for word in words),
            "said": shortened(text, words),
        }
        for name, ((code, text), words) in said.items()
    }
    code, _ = pool.run("publish", DAY)
    return {
        "faults": len(faults),
        "faults_named": sum(fault["failed"] and fault["named"] for fault in faults.values()),
        "faults_healed": code == 0,
        "by_fault": faults,
    }


def _kill_stages(pool: DrillPool, twin: DrillPool, hurt: int) -> dict[str, Any]:
    """SIGKILL stages at random moments on the following days; the twin lives undisturbed."""
    import random

    killer = kills.Killer(pool, random.Random(kills.SEED))
    days: list[date] = []
    while killer.killed.total() < hurt:
        days.append(DAY + timedelta(days=len(days) + 1))
        for stage in STAGES:
            if killer.killed.total() < hurt:
                killer.kill(stage, days[-1])
            killer.restart(stage, days[-1])
    twin.complete(EVERYTHING, *days)
    return {
        "kills": killer.killed.total(),
        **kills._figures(killer),
        **_named("killed_stages", kills._compare(pool, twin)),
    }
