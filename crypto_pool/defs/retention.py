"""The removal of old state, once a day, half a day away from the daily run."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from crypto_pool.adapters.backup import maintenance
from crypto_pool.adapters.prediction_tables import remove_old_publications
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.schedules import STATUS
from crypto_pool.settings import load_settings
from crypto_pool.workflow.retention import (
    referred_dagster_runs,
    referred_model_runs,
    remove_old_answers,
)

BATCH = 500
ANSWERS_KEPT = timedelta(days=90)


@dg.op(
    pool="member_training",  # a candidate is not removed while one is chosen
    description="Removes what is older than the settings keep and nothing refers to.",
)
def remove_old_state(context: dg.OpExecutionContext, pool: PoolResource) -> None:
    """Remove raw answers, publications, candidates and Dagster runs, each after its own time."""
    settings, now = pool.settings, pool.now()
    removed = {}
    with maintenance(settings.state_dir):
        removed["days of raw answers"] = remove_old_answers(
            settings.state_dir / "raw_answers", (now - ANSWERS_KEPT).date()
        )
        removed["publications"] = remove_old_publications(settings.state_dir)
        if settings.keep_candidates_days is not None:
            before = now - timedelta(days=settings.keep_candidates_days)
            kept = referred_model_runs(pool.store) | pool.registry.versions.registered_runs()
            removed["candidates"], removed["bytes of candidates"] = pool.registry.upkeep.remove_old(
                kept, before
            )
        if settings.keep_runs_days is not None:
            before = now - timedelta(days=settings.keep_runs_days)
            kept = referred_dagster_runs(pool.store)
            removed["Dagster runs"] = remove_old_runs(context.instance, kept, before)
    context.log.info(", ".join(f"{count} {what}" for what, count in removed.items()))
    context.add_output_metadata(removed)


def remove_old_runs(instance: dg.DagsterInstance, kept: frozenset[str], before: datetime) -> int:
    """Remove the runs that ended before a moment, with their events and logs; give how many.

    The latest materialisation of each partition of an asset stays: by it the UI knows that the
    partition is there.
    """
    from dagster._core.storage.event_log import SqliteEventLogStorage

    kept = kept | frozenset(_latest_materialisations(instance))
    filters = dg.RunsFilter(statuses=FINISHED_STATUSES, updated_before=before)
    old = [run.run_id for run in instance.get_runs(filters) if run.run_id not in kept]
    for run_id in old:
        instance.delete_run(run_id)
        storage = instance.event_log_storage
        if isinstance(storage, SqliteEventLogStorage):  # each run has a file of its own
            Path(storage.path_for_shard(run_id)).unlink(missing_ok=True)
        logs = Path(instance.storage_directory()) / run_id
        if logs.exists():
            shutil.rmtree(logs)
    return len(old)


def _latest_materialisations(instance: dg.DagsterInstance) -> Iterator[str]:
    """Yield the runs that made the latest materialisation of a partition, or of an asset."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    for key in instance.all_asset_keys():
        event = instance.get_latest_materialization_event(key)
        if event is not None:
            yield event.run_id
        latest = instance.event_log_storage.get_latest_storage_id_by_partition(key, kind)
        ids = sorted(latest.values())
        for start in range(0, len(ids), BATCH):
            result = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=key, storage_ids=ids[start : start + BATCH]),
                limit=BATCH,
            )
            yield from (record.run_id for record in result.records)


@dg.job(description="Remove what is older than the settings keep and nothing refers to.")
def clean_up() -> None:
    """Remove old state."""
    remove_old_state()


clean_up_daily = dg.ScheduleDefinition(
    name="clean_up_daily",
    job=clean_up,
    cron_schedule=load_settings().daily_cron(timedelta(hours=12)),
    execution_timezone="UTC",
    default_status=STATUS,
    description="Remove old state, twelve hours after the daily run.",
)
