"""Removal of old candidates from MLflow: those no version was registered from.

A run is marked as deleted first, so that nothing reuses it, and its folder goes last: what was
interrupted in between is finished the next time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import fsspec

from crypto_pool.adapters.mlflow_store import pages
from crypto_pool.adapters.model_records import ALGORITHM_TAG
from crypto_pool.adapters.model_registry import ModelRegistry

PAGE_SIZE = 500


@dataclass(frozen=True)
class Removed:
    """How much was removed."""

    count: int
    bytes: int


def remove_old_candidates(
    registry: ModelRegistry, kept: frozenset[str], before: datetime
) -> Removed:
    """Remove the artifacts of candidate runs that ended before a moment; their metrics stay.

    Runs with a registered version and the runs in `kept` are never touched, by whomever they
    were marked as deleted.
    """
    from mlflow.entities import ViewType

    protected = kept | registered_runs(registry)
    count = size = 0
    for experiment in pages(registry.client.search_experiments):
        ids = [experiment.experiment_id]
        ended = f"attributes.end_time < {int(before.timestamp() * 1000)}"
        for run in list(_runs(registry, ids, ended, ViewType.ACTIVE_ONLY)):
            if ALGORITHM_TAG in run.data.tags and run.info.run_id not in protected:
                registry.client.delete_run(run.info.run_id)
        for run in list(_runs(registry, ids, "", ViewType.DELETED_ONLY)):
            folder = _own_folder(registry, run.info.artifact_uri)
            if folder is None or run.info.run_id in protected:
                continue
            size += _remove_models(registry, ids, run.info.run_id) + _remove_folder(
                registry, folder
            )
            count += 1
    return Removed(count, size)


def registered_runs(registry: ModelRegistry) -> frozenset[str]:
    """The runs that a version was registered from."""
    versions = pages(registry.client.search_model_versions)
    return frozenset(str(version.run_id) for version in versions)


def _remove_models(registry: ModelRegistry, experiment_ids: list[str], run_id: str) -> int:
    def search(page_token: str | None) -> Any:
        return registry.client.search_logged_models(
            experiment_ids, f"source_run_id = '{run_id}'", page_token=page_token
        )

    size = 0
    for model in list(pages(search)):
        folder = _own_folder(registry, model.artifact_location)
        size += 0 if folder is None else _remove_folder(registry, folder)
        registry.client.delete_logged_model(model.model_id)
    return size


def _own_folder(registry: ModelRegistry, artifact_uri: str) -> str | None:
    """Give the existing folder of a run or a model, if it lies below the artifact root."""
    files, root = fsspec.core.url_to_fs(registry.artifact_root)
    files.invalidate_cache()
    folder = PurePosixPath(fsspec.core.url_to_fs(artifact_uri)[1]).parent
    is_below = PurePosixPath(root) in folder.parents and ".." not in folder.parts
    return str(folder) if is_below and files.isdir(str(folder)) else None


def _remove_folder(registry: ModelRegistry, folder: str) -> int:
    files, _ = fsspec.core.url_to_fs(registry.artifact_root)
    size = int(files.du(folder))
    files.rm(folder, recursive=True)
    return size


def _runs(registry: ModelRegistry, ids: list[str], wanted: str, view: Any) -> Iterator[Any]:
    def search(page_token: str | None) -> Any:
        return registry.client.search_runs(
            ids, wanted, run_view_type=view, max_results=PAGE_SIZE, page_token=page_token
        )

    return pages(search)
