"""The runs that nobody ends, and the artifacts that nobody needs any more."""

import time
from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from pathlib import PurePosixPath

from crypto_pool.adapters.mlflow.candidate_run import (
    DAGSTER_RUN_TAG,
    PARENT_DAGSTER_RUN_TAG,
    TRAINING_KEY_TAG,
)
from crypto_pool.adapters.mlflow.runs import Runs
from crypto_pool.adapters.mlflow.store import TRAINING_EXPERIMENT, pages

UNOWNED_SECONDS = 60


class Upkeep:
    """Ends and removes runs of one store."""

    def __init__(self, runs: Runs) -> None:
        """Use the runs of a store; nothing is opened before it is needed."""
        self.runs = runs

    def close_orphans(self, is_alive: Callable[[str], bool]) -> int:
        """End as KILLED the pool's RUNNING runs without a live Dagster run; return how many."""
        ids = [experiment.experiment_id for experiment in self.runs.store.own_experiments()]
        opened = self.runs.store.experiment_id(TRAINING_EXPERIMENT)
        closed, alive = 0, cache(is_alive)
        for run in self.runs.search(ids, "attributes.status = 'RUNNING'"):
            tags = run.data.tags
            owner = tags.get(DAGSTER_RUN_TAG) or tags.get(PARENT_DAGSTER_RUN_TAG)
            # A process killed between opening a parent run and tagging it leaves one without an
            # owner; elsewhere, where runs are made with their tags, it is somebody else's.
            old = run.info.start_time < (time.time() - UNOWNED_SECONDS) * 1000
            unowned = owner is None and run.info.experiment_id == opened and old
            if unowned or (owner is not None and not alive(owner)):
                self.runs.end(run.info.run_id, "KILLED")
                closed += 1
        return closed

    def remove_old(self, kept: frozenset[str], before: datetime) -> tuple[int, int]:
        """Remove the artifacts of candidates that ended before a moment; return count and bytes.

        Their metrics stay, and runs in `kept` are never touched, by whomever they were marked as
        deleted. A run is marked first, so that nothing reuses it, and its folder goes last: what
        was interrupted in between is finished the next time.
        """
        from mlflow.entities import ViewType

        count = size = 0
        for experiment in self.runs.store.own_experiments():
            ids = [experiment.experiment_id]
            ended = f"attributes.end_time < {int(before.timestamp() * 1000)}"
            for run in self.runs.search(ids, ended):
                if TRAINING_KEY_TAG in run.data.tags and run.info.run_id not in kept:
                    self.runs.store.client.delete_run(run.info.run_id)
            for run in self.runs.search(ids, "", ViewType.DELETED_ONLY):
                is_own = TRAINING_KEY_TAG in run.data.tags
                folder = self._own_folder(run.info.artifact_uri) if is_own else None
                if folder is not None and run.info.run_id not in kept:
                    size += self._remove_models(ids, run.info.run_id) + self._remove(folder)
                    count += 1
        return count, size

    def _remove_models(self, experiment_ids: list[str], run_id: str) -> int:
        client, size = self.runs.store.client, 0
        search = partial(client.search_logged_models, experiment_ids, f"source_run_id = '{run_id}'")
        for model in list(pages(search)):
            folder = self._own_folder(model.artifact_location)
            size += 0 if folder is None else self._remove(folder)
            client.delete_logged_model(model.model_id)
        return size

    def _own_folder(self, artifact_uri: str) -> str | None:
        """Return the existing folder of a run or a model, if it lies below the artifact root."""
        import fsspec

        files, root = fsspec.core.url_to_fs(self.runs.store.artifact_root)
        files.invalidate_cache()
        folder = PurePosixPath(fsspec.core.url_to_fs(artifact_uri)[1]).parent
        is_below = PurePosixPath(root) in folder.parents and ".." not in folder.parts
        return str(folder) if is_below and files.isdir(str(folder)) else None

    def _remove(self, folder: str) -> int:
        import fsspec

        files, _ = fsspec.core.url_to_fs(self.runs.store.artifact_root)
        size = int(files.du(folder))
        files.rm(folder, recursive=True)
        return size
