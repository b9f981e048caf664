"""MLflow's store: the schema of an SQLite file made once, and the experiments in it.

Several processes that meet an empty store at once break it, so the schema is built
in a file beside the final one, under a lock, and renamed when it is complete.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crypto_pool.adapters.sqlite_files import (
    SQLITE_PREFIX,
    await_writable,
    commit_without_waiting,
    hold_open,
    keep_write_ahead_log,
)
from crypto_pool.errors import ModelUnavailable

LOCK_TIMEOUT_SECONDS = 120.0
# Without it MLflow's page asks what an experiment is for, and shows it as one of language models.
MODEL_DEVELOPMENT = {"mlflow.experimentKind": "custom_model_development"}


def create_schema(tracking_uri: str, artifact_root: str) -> None:
    """Create the SQLite store if it is not there; any other store minds its own schema.

    Raises:
        ModelUnavailable: the store is gone and its artifacts are there, so it is not a new one;
            or another process keeps it locked.
    """
    if not tracking_uri.startswith(SQLITE_PREFIX):
        return
    path = Path(tracking_uri.removeprefix(SQLITE_PREFIX))
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        if path.exists() and path.stat().st_size > 0:
            keep_write_ahead_log(path)
            return
        artifacts = local_path(artifact_root)
        if artifacts is not None and artifacts.is_dir() and any(artifacts.iterdir()):
            raise ModelUnavailable(
                f"{path} is gone or empty, but {artifacts} holds artifacts: put the file back or "
                "restore a backup; to begin without models, move the artifacts away too"
            )
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        unfinished = path.with_name(f"{path.name}.unfinished")
        for leftover in path.parent.glob(f"{unfinished.name}*"):
            leftover.unlink()
        keep_write_ahead_log(unfinished)
        commit_without_waiting()  # some hundred commits
        store = SqlAlchemyStore(f"{SQLITE_PREFIX}{unfinished}", artifact_root)
        store.engine.dispose()
        hold_open.cache_clear()  # the last to close the file brings its log into it
        os.replace(unfinished, path)


def require_writable(tracking_uri: str) -> None:
    """Wait for whoever writes to an SQLite store; any other store minds that itself.

    Raises:
        ModelUnavailable: another process goes on writing.
    """
    if not tracking_uri.startswith(SQLITE_PREFIX):
        return
    path = Path(tracking_uri.removeprefix(SQLITE_PREFIX))
    try:
        await_writable(path)
    except sqlite3.OperationalError as fault:
        raise ModelUnavailable(
            f"MLflow's store {path} does not answer: {fault}; end what writes to it, then run again"
        ) from fault


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time look for the store; raises ModelUnavailable."""
    from filelock import FileLock, Timeout

    lock = FileLock(f"{path}.lock", timeout=LOCK_TIMEOUT_SECONDS)
    try:
        lock.acquire()
    except Timeout as fault:
        raise ModelUnavailable(
            f"another process has locked {path} for {LOCK_TIMEOUT_SECONDS:.0f} s: end the process "
            f"that holds {path}.lock, then run the command again"
        ) from fault
    try:
        yield
    finally:
        lock.release()


def get_or_create_experiment(client: Any, name: str, artifact_location: str) -> str:
    """Give the id of an experiment; another process may create it at the same moment."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location, MODEL_DEVELOPMENT))
        except MlflowException as fault:
            if fault.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)
    return str(experiment.experiment_id)


def get_or_create_registered_model(client: Any, name: str, tags: dict[str, str]) -> None:
    """Make sure that a registered model of this name exists."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, tags=tags)
    except MlflowException as fault:
        if fault.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def pages(search: Callable[..., Any]) -> Iterator[Any]:
    """Give what a search of MLflow's client finds, on all its pages."""
    token: str | None = None
    while True:
        page = search(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def is_missing(fault: Exception) -> bool:
    """Tell MLflow's "there is no such thing" from a failure."""
    return getattr(fault, "error_code", None) in {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}


def as_uri(root: str) -> str:
    """Turn a local path into an absolute file URI; leave a URI as it is."""
    return root.rstrip("/") if "://" in root else Path(root).resolve().as_uri()


def local_path(uri: str) -> Path | None:
    """Give the local path that an artefact URI names, or None for a remote one."""
    if "://" not in uri and not uri.startswith("file:"):
        return Path(uri)
    if not uri.startswith("file:"):
        return None
    from mlflow.utils.file_utils import local_file_uri_to_path

    return Path(local_file_uri_to_path(uri))
