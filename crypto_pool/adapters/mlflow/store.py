"""MLflow's store: the schema of an SQLite file made once, and the experiments in it.

Several processes that meet an empty store at once break it, so the schema is built
in a file beside the final one, under a lock, and renamed when it is complete.
"""

import json
import logging
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock, Timeout

from crypto_pool.adapters import sqlite_files
from crypto_pool.adapters.unfinished_files import replacing
from crypto_pool.domain.addresses import without_credentials
from crypto_pool.errors import ModelUnavailable

logger = logging.getLogger(__name__)
LOCK_TIMEOUT_SECONDS = 120.0
TRAINING_EXPERIMENT = "crypto_pool_training"
PANEL_EXPERIMENT = "panel"
MEMBER_SUFFIXES = ("_uptrend", "_downtrend")
TERMS_OF_RUNS = ("time_period", "series_type")
# By it the pool knows what it made; what lacks it is somebody else's, and is left alone.
OWN_TAG = "crypto_pool.kind"
REGISTERED_MODEL = "registered model"
"""What the registered model of a member carries as its kind."""
ADOPTED = """SELECT 1 FROM experiments JOIN experiment_tags USING (experiment_id)
    WHERE name = ? AND key = ? AND lifecycle_stage = 'active'"""
OWN_FILTER = f"tags.`{OWN_TAG}` LIKE '%'"
# Without it MLflow's page asks what an experiment is for, and shows it as one of language models.
MODEL_DEVELOPMENT = {"mlflow.experimentKind": "custom_model_development"}
DESCRIPTION_TAG = "mlflow.note.content"
DESCRIPTIONS = {
    TRAINING_EXPERIMENT: "A run for each training of the pool; its candidates hang below it.",
    PANEL_EXPERIMENT: "The fits of the panel, the one model of all coins: a run for each origin.",
}
OF_A_MEMBER = (
    "A run for each candidate and each training, and for the baseline they have to beat: "
    "`added_points` says how far one moves it, `skill_over_reference` what it is worth."
)


class MlflowStore:
    """One MLflow store: its client and its experiments."""

    def __init__(self, tracking_uri: str, artifact_root: str) -> None:
        """Name the store; nothing is opened before it is needed."""
        self.tracking_uri = tracking_uri
        self.artifact_root = as_uri(artifact_root)
        self._client: Any = None
        self._experiment_ids: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the client behind: every process opens its own."""
        return {**self.__dict__, "_client": None}

    @property
    def client(self) -> Any:
        """The MLflow client of this process; raises ModelUnavailable where no Postgres answers."""
        if self._client is None:
            os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
            from mlflow import MlflowClient

            sqlite_files.commit_without_waiting()
            try:
                self._client = MlflowClient(self.tracking_uri, registry_uri=self.tracking_uri)
            except Exception as fault:  # of SQLAlchemy or the driver, or an address that is none
                if sqlite_files.sqlite_path(self.tracking_uri) is not None:
                    raise
                raise ModelUnavailable(
                    f"MLflow's store {without_credentials(self.tracking_uri)} does not answer: "
                    f"{fault}; check CRYPTO_POOL_MLFLOW_BACKEND_URI and the server, then run again"
                ) from None
        return self._client

    def prepare(self) -> None:
        """Create the store and the parent runs' experiment; see `ModelRegistry.prepare`."""
        create_schema(self.tracking_uri, self.artifact_root)
        self._follow_a_move()
        if self.rows(ADOPTED, TRAINING_EXPERIMENT, OWN_TAG):
            return
        from mlflow.exceptions import MlflowException

        try:
            self.experiment_id(TRAINING_EXPERIMENT)
            self._adopt()
        except MlflowException as fault:
            raise ModelUnavailable(
                f"MLflow's store {without_credentials(self.tracking_uri)} does not answer: "
                f"{fault.message}; end what holds it, or restore a backup, then run again"
            ) from fault

    def _follow_a_move(self) -> None:
        """Let what a moved or copied home stored be found, and written, where it is now.

        Only where the artifacts are there: a root that was set to another place moves nothing.
        """
        root, path = local_path(self.artifact_root), sqlite_files.sqlite_path(self.tracking_uri)
        if root is None or path is None or not root.is_dir():
            return
        old_roots = {
            location.removesuffix(f"/{name}")
            for name, location in self.rows("SELECT name, artifact_location FROM experiments") or ()
            if name.endswith((*MEMBER_SUFFIXES, TRAINING_EXPERIMENT))
            and location.endswith(f"/{name}")
            and location.startswith("file:")
        }
        for old in sorted(old_roots - {self.artifact_root}):
            logger.warning("this home was at another place: %s is now %s", old, self.artifact_root)
            sqlite_files.relocate(path, old, self.artifact_root)

    def rows(self, sql: str, *values: str) -> list[Any] | None:
        """Return rows of an SQLite store, whoever writes to it, without the seconds MLflow loads.

        None of another store, or one whose tables are not as asked: MLflow is to say.
        """
        path = sqlite_files.sqlite_path(self.tracking_uri)
        if path is None:
            return None
        try:
            with sqlite_files.opened(path, "ro") as connection:
                return connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError:
            return None

    def experiment_id(self, name: str) -> str:
        """Return the id of an experiment, made on first use and restored where it was deleted."""
        if name not in self._experiment_ids:
            self._experiment_ids[name] = self._get_or_create_experiment(name)
        return self._experiment_ids[name]

    def _adopt(self) -> None:
        """Tag as the pool's own what version 1.0 made without saying so, its parents' last."""
        experiments = {one.name: one for one in pages(self.client.search_experiments)}
        training = experiments[TRAINING_EXPERIMENT]
        if OWN_TAG in training.tags:
            return
        for model in list(pages(self.client.search_registered_models)):
            member = f"{model.tags.get('symbol')}_{model.tags.get('trend')}"
            if model.name == f"{member}_model":
                self.client.set_registered_model_tag(model.name, OWN_TAG, REGISTERED_MODEL)
                self._complete_terms(model.name)
        members = [one for name, one in experiments.items() if name.endswith(MEMBER_SUFFIXES)]
        for experiment in (*members, training):
            self.client.set_experiment_tag(experiment.experiment_id, OWN_TAG, "experiment")

    def _complete_terms(self, name: str) -> None:
        """Give versions the terms that their runs alone tell; a run that is gone tells none."""
        from mlflow.exceptions import MlflowException

        for version in list(pages(partial(self.client.search_model_versions, f"name='{name}'"))):
            try:
                settings = json.loads(self.client.get_run(version.run_id).data.tags["settings"])
            except (MlflowException, KeyError, ValueError):
                continue
            for term in TERMS_OF_RUNS:
                if term in settings and term not in version.tags:
                    self.client.set_model_version_tag(
                        name, version.version, term, str(settings[term])
                    )

    def own_experiments(self) -> list[Any]:
        """Return the experiments that the pool made."""
        experiments = pages(partial(self.client.search_experiments, filter_string=OWN_FILTER))
        return list(experiments)

    @contextmanager
    def local_copy(self, uri: str, title: str) -> Iterator[Path]:
        """Give a folder that holds what lies at an artifact URI; raises ModelUnavailable."""
        path = local_path(uri)
        if path is not None:
            yield path
            return
        import mlflow.artifacts

        with tempfile.TemporaryDirectory() as into:
            try:
                fetched = mlflow.artifacts.download_artifacts(
                    artifact_uri=uri, dst_path=into, tracking_uri=self.tracking_uri
                )
            except Exception as fault:
                raise ModelUnavailable(f"{title}: cannot fetch {uri}: {fault}") from fault
            yield Path(fetched)

    def _get_or_create_experiment(self, name: str) -> str:
        """Another process may do so at the same moment."""
        from mlflow.exceptions import MlflowException

        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            description = DESCRIPTIONS.get(name, OF_A_MEMBER)
            tags = {**MODEL_DEVELOPMENT, OWN_TAG: "experiment", DESCRIPTION_TAG: description}
            location = f"{self.artifact_root}/{name}"
            try:
                return str(self.client.create_experiment(name, location, tags))
            except MlflowException as fault:
                if fault.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                experiment = self.client.get_experiment_by_name(name)
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)


def create_schema(tracking_uri: str, artifact_root: str) -> None:
    """Create the SQLite store if it is not there; any other store minds its own schema.

    Raises:
        ModelUnavailable: the store is gone and its artifacts are there, so it is not a new one;
            or another process keeps it locked.
    """
    path = sqlite_files.sqlite_path(tracking_uri)
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{path}.lock", timeout=LOCK_TIMEOUT_SECONDS):
            _create_unless_there(path, artifact_root)
    except Timeout as fault:
        raise ModelUnavailable(
            f"another process has locked {path} for {LOCK_TIMEOUT_SECONDS:.0f} s: end the process "
            f"that holds {path}.lock, then run the command again"
        ) from fault


def _create_unless_there(path: Path, artifact_root: str) -> None:
    if path.exists() and path.stat().st_size > 0:
        sqlite_files.keep_write_ahead_log(path)
        return
    artifacts = local_path(artifact_root)
    if artifacts is not None and artifacts.is_dir() and any(artifacts.iterdir()):
        raise ModelUnavailable(
            f"{path} is gone or empty, but {artifacts} holds artifacts: put the file back or "
            "restore a backup; to begin without models, move the artifacts away too"
        )
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    with replacing(path) as unfinished:
        sqlite_files.keep_write_ahead_log(unfinished)
        sqlite_files.commit_without_waiting()  # some hundred commits
        store = SqlAlchemyStore(f"{sqlite_files.SQLITE_PREFIX}{unfinished}", artifact_root)
        store.engine.dispose()
        sqlite_files.hold_open.cache_clear()  # the last to close the file brings its log into it


def require_writable(tracking_uri: str) -> None:
    """Wait for whoever writes to an SQLite store; any other store minds that itself.

    Raises:
        ModelUnavailable: another process goes on writing.
    """
    path = sqlite_files.sqlite_path(tracking_uri)
    try:
        if path is not None:
            sqlite_files.await_writable(path)
    except sqlite3.OperationalError as fault:
        raise ModelUnavailable(
            f"MLflow's store {path} does not answer: {fault}; end what writes to it, then run again"
        ) from fault


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
    return Path(unquote(urlsplit(uri).path))
