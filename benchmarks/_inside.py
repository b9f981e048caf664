"""What is measured within the process of a pool: ticks, and what its stores take."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dagster as dg


def tick(repository: Any, instance: "dg.DagsterInstance", name: str) -> Any:
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


def storage(state: Path, home: Path) -> dict[str, float]:
    """The files of a pool by store, in MiB; those of Parquet are counted too."""
    files = [path for path in (state / "parquet").rglob("*") if path.is_file()]
    databases = [path for path in home.rglob("*.db") if state not in path.parents]
    return {
        "parquet_files": float(len(files)),
        "parquet_mib": sum(path.stat().st_size for path in files) / 2**20,
        "dagster_mib": sum(path.stat().st_size for path in databases) / 2**20,
        "mlflow_mib": (state / "mlflow" / "mlflow.db").stat().st_size / 2**20,
        "duckdb_mib": (state / "crypto_pool.duckdb").resolve().stat().st_size / 2**20,
        "artifacts_mib": folder_bytes(state / "mlflow" / "artifacts") / 2**20,
    }


def folder_bytes(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def seconds_of(act: Callable[[], Any]) -> float:
    """The seconds something takes."""
    begun = perf_counter()
    act()
    return perf_counter() - begun
