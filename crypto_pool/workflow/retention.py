"""Which old state may go, and its removal; what anything still refers to stays."""

import shutil
from datetime import date
from pathlib import Path

from crypto_pool.adapters.frame_store import FrameStore

# Tables whose rows name the MLflow run, or the Dagster run, they came from.
MODEL_RUNS_IN = ("candidate_scores", "champions")
DAGSTER_RUNS_IN = ("daily_predictions", "shadow_predictions", "promotions")


def referred_model_runs(store: FrameStore) -> frozenset[str]:
    """MLflow runs that a leaderboard or a champion's row names."""
    return _named(store, MODEL_RUNS_IN, "run_id")


def referred_dagster_runs(store: FrameStore) -> frozenset[str]:
    """Dagster runs that a forecast or the ledger names."""
    return _named(store, DAGSTER_RUNS_IN, "dagster_run_id")


def remove_old_answers(folder: Path, before: date) -> int:
    """Remove a provider's raw answers of the UTC days before a date; give how many days.

    Bars and indicators are stored for themselves, nothing refers to an answer.
    """
    removed = 0
    for path in sorted(folder.iterdir()) if folder.exists() else []:
        try:
            day = date.fromisoformat(path.name)
        except ValueError:
            continue
        if day < before:
            shutil.rmtree(path)
            removed += 1
    return removed


def _named(store: FrameStore, tables: tuple[str, ...], column: str) -> frozenset[str]:
    names: set[str] = set()
    for table in tables:
        rows = store.read_all(table)
        if column in rows:
            names |= {str(name) for name in rows[column].dropna()}
    return frozenset(names)
