"""MLflow as the pool uses it: runs of candidates, registered versions, the champion's alias.

A `ModelRegistry` holds two strings and is sent to workers as it is; each process makes
its own client. Importing this module imports neither MLflow nor scikit-learn. A model is
loaded by this project's own rules, never by code stored with it.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from crypto_pool.adapters.durability import sync_tree
from crypto_pool.adapters.mlflow_store import (
    as_uri,
    create_schema,
    get_or_create_experiment,
    get_or_create_registered_model,
    local_path,
    pages,
    require_writable,
)
from crypto_pool.adapters.model_aliases import ModelAliases, model_name
from crypto_pool.adapters.model_records import (
    ALGORITHM_TAG,
    DAGSTER_RUN_TAG,
    DATA_HASH_TAG,
    FEATURE_IMPORTANCE_TAG,
    HASHES_TAG,
    MODEL_URI_TAG,
    PARENT_DAGSTER_RUN_TAG,
    TRAINING_KEY_TAG,
    CandidateFit,
    RunRecord,
)
from crypto_pool.adapters.sqlite_files import commit_without_waiting, reach_disk
from crypto_pool.domain.addresses import without_credentials
from crypto_pool.errors import ModelUnavailable, UntrustedModel

if TYPE_CHECKING:
    import pandas as pd

    from crypto_pool.adapters.model_files import LoadedModel

TRAINING_EXPERIMENT = "crypto_pool_training"
PAGE_SIZE = 1000
UNOWNED_SECONDS = 60


class ModelRegistry(ModelAliases):
    """The pool's runs and models in one MLflow store."""

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
        """Give the MLflow client of this process."""
        if self._client is None:
            os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
            from mlflow import MlflowClient

            commit_without_waiting()
            self._client = MlflowClient(self.tracking_uri, registry_uri=self.tracking_uri)
        return self._client

    def prepare(self) -> None:
        """Create the store and the parent runs' experiment; call once, before workers start.

        Raises:
            ModelUnavailable: the store is gone, or does not answer, such as a locked file.
        """
        create_schema(self.tracking_uri, self.artifact_root)
        from mlflow.exceptions import MlflowException

        try:
            self.experiment_id(TRAINING_EXPERIMENT)
        except MlflowException as fault:
            raise ModelUnavailable(
                f"MLflow's store {without_credentials(self.tracking_uri)} does not answer: "
                f"{fault.message}; end what holds it, or restore a backup, then run again"
            ) from fault

    def experiment_id(self, member_name: str) -> str:
        """Give the id of the experiment of this name, made on first use."""
        if member_name not in self._experiment_ids:
            location = f"{self.artifact_root}/{member_name}"
            self._experiment_ids[member_name] = get_or_create_experiment(
                self.client, member_name, location
            )
        return self._experiment_ids[member_name]

    # Runs

    def log_candidate(self, fit: CandidateFit) -> RunRecord:
        """Write the run of a candidate with its model; it ends FINISHED, FAILED or KILLED."""
        from crypto_pool.adapters.candidate_log import write_candidate_run

        return write_candidate_run(self.client, self.experiment_id(fit.member_name), fit)

    def run(self, run_id: str) -> RunRecord:
        """Give a finished candidate run; raises ModelUnavailable."""
        from mlflow.exceptions import MlflowException

        try:
            data = self.client.get_run(run_id).data
        except MlflowException as fault:
            raise ModelUnavailable(f"run {run_id} cannot be found: {fault.message}") from fault
        return RunRecord.from_data(run_id, data.metrics, data.tags)

    def run_parameters(self, run_id: str) -> dict[str, str]:
        """Give the parameters a run was trained with."""
        return dict(self.client.get_run(run_id).data.params)

    def load_evaluation(self, run_id: str) -> "pd.DataFrame":
        """Give the rows a candidate's promise was measured on; raises ModelUnavailable."""
        import pandas as pd

        from crypto_pool.adapters.candidate_log import EVALUATION_FILE

        return pd.read_parquet(BytesIO(self.load_file(run_id, EVALUATION_FILE)))

    def load_file(self, run_id: str, name: str) -> bytes:
        """Give a file that was put on a run; raises ModelUnavailable."""
        uri = f"{self.client.get_run(run_id).info.artifact_uri}/{name}"
        title = f"{name} of run {run_id}"
        path = local_path(uri)
        if path is not None:
            if not path.exists():
                raise ModelUnavailable(f"{title} is not at {path}; train the candidate again.")
            return path.read_bytes()
        with tempfile.TemporaryDirectory() as download:
            return self._download(uri, download, title).read_bytes()

    def finished_runs(self, member_name: str, data_hash: str) -> dict[str, RunRecord]:
        """Give the latest finished run of each algorithm on these data."""
        records: dict[str, RunRecord] = {}
        for run in self._finished(member_name, DATA_HASH_TAG, data_hash):
            records.setdefault(run.algorithm, run)
        return records

    def find_reusable(self, member_name: str, training_key: str) -> RunRecord | None:
        """Give the latest finished run with this training key, if there is one."""
        return next(self._finished(member_name, TRAINING_KEY_TAG, training_key), None)

    def end_run(self, run_id: str, status: str) -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        self.client.set_terminated(run_id, status)

    def set_feature_importance(self, run_id: str, importance: Mapping[str, float]) -> None:
        """Put the feature importance on a run, as JSON."""
        self.client.set_tag(run_id, FEATURE_IMPORTANCE_TAG, json.dumps(dict(importance)))

    def log_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Put files on a run as artifacts, in place of those of the same name."""
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            self.client.log_artifacts(run_id, folder)

    def close_orphans(self, is_alive: Callable[[str], bool]) -> int:
        """End as KILLED the RUNNING runs without a live Dagster run; return how many."""
        ids = [found.experiment_id for found in pages(self.client.search_experiments)]
        closed, alive = 0, cache(is_alive)
        for run in self._runs(ids, "attributes.status = 'RUNNING'"):
            tags = run.data.tags
            owner = tags.get(DAGSTER_RUN_TAG) or tags.get(PARENT_DAGSTER_RUN_TAG)
            # A process killed between opening a run and tagging it leaves one without an owner.
            unowned = owner is None and run.info.start_time < (time() - UNOWNED_SECONDS) * 1000
            if unowned or (owner is not None and not alive(owner)):
                self.end_run(run.info.run_id, "KILLED")
                closed += 1
        return closed

    # Registered models

    def register(self, member_name: str, run: RunRecord, tags: Mapping[str, str]) -> str:
        """Register the model of a run, or find the version it has; its tags end as given."""
        name = model_name(member_name)
        given = {key: str(value) for key, value in tags.items()}
        known = self.registered_version(member_name, run.run_id)
        if known is not None:
            tags_now = self.client.get_model_version(name, known).tags
            for key, value in given.items():
                if tags_now.get(key) != value:
                    self.client.set_model_version_tag(name, known, key, value)
            return known
        symbol, _, trend = member_name.rpartition("_")
        get_or_create_registered_model(self.client, name, {"symbol": symbol, "trend": trend})
        logged = self._logged_model(run.tags)
        version = self.client.create_model_version(
            name,
            logged.artifact_location,  # a `models:/` URI is looked up in MLflow's global store
            run_id=run.run_id,
            tags=given,
            model_id=logged.model_id,
        )
        return str(version.version)

    def reach_disk(self, run: RunRecord) -> None:
        """Bring a run, its version and the files of both to the disk: the ledger may name them.

        Raises:
            ModelUnavailable: another process goes on writing to the store.
        """
        info = self.client.get_run(run.run_id).info
        for location in (info.artifact_uri, self._logged_model(run.tags).artifact_location):
            folder = local_path(str(location))
            if folder is not None:
                sync_tree(folder)
        require_writable(self.tracking_uri)
        reach_disk(self.tracking_uri)

    def registered_version(self, member_name: str, run_id: str) -> str | None:
        """Give the version registered for a run, if there is one."""
        name = model_name(member_name)
        known = self.client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
        return str(max(int(version.version) for version in known)) if known else None

    def load(self, member_name: str, version: str) -> "LoadedModel":
        """Load a registered version, after checking it against the hashes of its run.

        Raises UntrustedModel or ModelUnavailable, with the version and the ways out.
        """
        from mlflow.exceptions import MlflowException

        title = f"{model_name(member_name)} version {version}"
        try:
            run_id = self.client.get_model_version(model_name(member_name), str(version)).run_id
        except MlflowException as fault:
            raise ModelUnavailable(f"{title} is not in the registry: {fault.message}") from fault
        try:
            return self.load_run(run_id, title)
        except (ModelUnavailable, UntrustedModel) as fault:
            raise type(fault)(
                f"{str(fault).rstrip('.')}; let another version serve with `crypto-pool rollback "
                f"{member_name}`, or train the member again"
            ) from fault

    def load_run(self, run_id: str, title: str = "") -> "LoadedModel":
        """Load the model of a run, after checking it against the hashes on the run."""
        from mlflow.exceptions import MlflowException

        title = title or f"the model of run {run_id}"
        try:
            tags = self.client.get_run(run_id).data.tags
            location = str(self._logged_model(tags).artifact_location)
            hashes = json.loads(tags[HASHES_TAG])
        except KeyError as fault:
            raise ModelUnavailable(f"{title}: its run has no tag {fault}.") from fault
        except MlflowException as fault:
            raise ModelUnavailable(f"{title} cannot be found: {fault.message}") from fault
        from crypto_pool.adapters.model_files import load_named_model

        uri, folder = f"{location}/artifacts", local_path(location)
        if folder is not None:
            return load_named_model(folder / "artifacts", hashes, title, uri)
        with tempfile.TemporaryDirectory() as download:
            return load_named_model(self._download(uri, download, title), hashes, title, uri)

    def _logged_model(self, tags: Mapping[str, str]) -> Any:
        return self.client.get_logged_model(tags[MODEL_URI_TAG].removeprefix("models:/"))

    def _download(self, uri: str, into: str, title: str) -> Path:
        import mlflow.artifacts

        try:
            path = mlflow.artifacts.download_artifacts(
                artifact_uri=uri, dst_path=into, tracking_uri=self.tracking_uri
            )
        except Exception as fault:
            raise ModelUnavailable(f"{title}: cannot fetch {uri}: {fault}") from fault
        return Path(path)

    def _finished(self, member_name: str, tag: str, value: str) -> Iterator[RunRecord]:
        """Yield finished candidate runs with this tag, the latest first."""
        experiment = self.client.get_experiment_by_name(member_name)
        if experiment is None:
            return
        wanted = f"attributes.status = 'FINISHED' and tags.{tag} = '{value}'"
        for run in self._runs([experiment.experiment_id], wanted):
            if {ALGORITHM_TAG, MODEL_URI_TAG} <= run.data.tags.keys():
                yield RunRecord.from_data(run.info.run_id, run.data.metrics, run.data.tags)

    def _runs(self, experiment_ids: list[str], wanted: str) -> Iterator[Any]:
        def search(page_token: str | None) -> Any:
            return self.client.search_runs(
                experiment_ids,
                wanted,
                order_by=["attributes.end_time DESC"],
                max_results=PAGE_SIZE,
                page_token=page_token,
            )

        return iter(list(pages(search)))  # whole, since closing a run shifts the pages
