"""One MLflow run for each trained candidate: written, found again, read."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from crypto_pool.adapters.mlflow.candidate_run import (
    ALGORITHM_TAG,
    DAGSTER_RUN_TAG,
    DATA_HASH_TAG,
    EVALUATION_FILE,
    FEATURE_IMPORTANCE_TAG,
    HASHES_TAG,
    MODEL_URI_TAG,
    SETTINGS_TAG,
    TRAINING_KEY_TAG,
    read_candidate,
    settings_tag,
    tags_of,
    write_candidate,
)
from crypto_pool.adapters.mlflow.recording import new_run, put_files
from crypto_pool.adapters.mlflow.store import MlflowStore, pages
from crypto_pool.errors import CryptoPoolError, ModelUnavailable, UntrustedModel

if TYPE_CHECKING:
    import pandas as pd

    from crypto_pool.domain.fitting import TrainedCandidate
    from crypto_pool.domain.recipe import Recipe
    from crypto_pool.domain.served_model import ServedModel

PAGE_SIZE = 1000


class Runs:
    """The runs of candidates in one store."""

    def __init__(self, store: MlflowStore) -> None:
        """Use a store; nothing is opened before it is needed."""
        self.store = store

    def log(
        self,
        candidate: "TrainedCandidate",
        training_key: str,
        dagster_run_id: str,
        parent_run_id: str | None = None,
        *,
        example: "pd.DataFrame | None" = None,
        fit_seconds: float = 0.0,
    ) -> "TrainedCandidate":
        """Write the run of a candidate with its model; it ends FINISHED, FAILED or KILLED.

        `example` are rows as its model takes them. The run begins when the fit did. Returned is
        what `get` would read of it.
        """
        own = {TRAINING_KEY_TAG: training_key, DAGSTER_RUN_TAG: dagster_run_id}
        tags = {**tags_of(candidate), **own}
        if parent_run_id is not None:
            tags["mlflow.parentRunId"] = parent_run_id
        with new_run(self.store, candidate.member_name, tags, fit_seconds) as run:
            return write_candidate(run, candidate, example, fit_seconds)

    def get(self, run_id: str) -> "TrainedCandidate":
        """Return a finished candidate, its model left where it is; raises ModelUnavailable."""
        run = self._run(run_id, f"run {run_id}")
        return read_candidate(run, self._file(run, EVALUATION_FILE))

    def latest(
        self, member_name: str, data_hash: str, recipe: "Recipe", code_version: str
    ) -> "dict[str, TrainedCandidate]":
        """Return the latest finished run of each algorithm on these data, recipe and code.

        A run whose files are gone or changed is passed over.
        """
        candidates: dict[str, TrainedCandidate] = {}
        wanted = {DATA_HASH_TAG: data_hash, "code_version": code_version}
        wanted[SETTINGS_TAG] = settings_tag(recipe)
        for run in self._finished(member_name, wanted):
            if run.data.tags[ALGORITHM_TAG] not in candidates:
                candidate = self._intact(run)
                if candidate is not None:
                    candidates[candidate.algorithm] = candidate
        return candidates

    def find(self, member_name: str, training_key: str) -> "TrainedCandidate | None":
        """Return the latest finished run with this key whose files are what was logged."""
        runs = self._finished(member_name, {TRAINING_KEY_TAG: training_key})
        return next(filter(None, map(self._intact, runs)), None)

    def load_model(self, run_id: str, title: str = "") -> "ServedModel":
        """Load the model of a run, after checking it against the hashes on the run."""
        from mlflow.exceptions import MlflowException

        title = title or f"the model of run {run_id}"
        tags = self._run(run_id, title).data.tags
        try:
            location, hashes = self.model_location(tags), json.loads(tags[HASHES_TAG])
        except (KeyError, ValueError, MlflowException) as fault:
            raise ModelUnavailable(
                f"{title}: a tag of its run, or the model it names, is gone or wrong: {fault}"
            ) from fault
        return load_from(self.store, location, hashes, title, is_known=True)

    def model_location(self, tags: Mapping[str, str]) -> str:
        """Return where the model of a run with these tags lies."""
        model_id = tags[MODEL_URI_TAG].removeprefix("models:/")
        return str(self.store.client.get_logged_model(model_id).artifact_location)

    def load_file(self, run_id: str, name: str) -> bytes:
        """Return a file that was put on a run; raises ModelUnavailable."""
        return self._file(self._run(run_id, f"{name} of run {run_id}"), name)

    def describe(
        self, run_id: str, importance: Mapping[str, float], files: Mapping[str, bytes], **tags: str
    ) -> None:
        """Put the feature importance on a run as JSON, tags beside it, and files as artifacts."""
        from mlflow.entities import RunTag

        all_tags = {FEATURE_IMPORTANCE_TAG: json.dumps(dict(importance)), **tags}
        self.store.client.log_batch(run_id, tags=[RunTag(*one) for one in all_tags.items()])
        address = str(self._run(run_id, f"run {run_id}").info.artifact_uri)
        put_files(self.store.client, address, files)

    def end(self, run_id: str, status: str) -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        self.store.client.set_terminated(run_id, status)

    def _intact(self, run: Any) -> "TrainedCandidate | None":
        """Return a run's candidate, or None where its files are gone or not what was logged."""
        from mlflow.exceptions import MlflowException

        from crypto_pool.adapters.mlflow.artifact import read_files

        tags = run.data.tags
        try:
            location = f"{self.model_location(tags)}/artifacts"
            with self.store.local_copy(location, run.info.run_id) as folder:
                read_files(folder, json.loads(tags[HASHES_TAG]))
            return read_candidate(run, self._file(run, EVALUATION_FILE))
        except (CryptoPoolError, MlflowException, KeyError, ValueError, OSError):
            return None

    def _run(self, run_id: str, title: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self.store.client.get_run(run_id)
        except MlflowException as fault:
            raise ModelUnavailable(f"{title} cannot be found: {fault.message}") from fault

    def _file(self, run: Any, name: str) -> bytes:
        title = f"{name} of run {run.info.run_id}"
        with self.store.local_copy(f"{run.info.artifact_uri}/{name}", title) as path:
            if not path.is_file():
                raise ModelUnavailable(f"{title} is not at {path}; train the candidate again.")
            return path.read_bytes()

    def _finished(self, member_name: str, wanted: Mapping[str, str]) -> Iterator[Any]:
        """Yield finished candidate runs with these tags, the latest first."""
        experiment = self.store.client.get_experiment_by_name(member_name)
        if experiment is None:
            return
        parts = [f"tags.{name} = '{value}'" for name, value in wanted.items()]
        for run in self.search(
            [experiment.experiment_id], " and ".join(["attributes.status = 'FINISHED'", *parts])
        ):
            if {ALGORITHM_TAG, MODEL_URI_TAG} <= run.data.tags.keys():
                yield run

    def search(self, experiment_ids: list[str], wanted: str, view: Any = 1) -> list[Any]:
        """Return runs, the latest first, of the view `ACTIVE_ONLY` where no other is given."""
        search = partial(
            self.store.client.search_runs,
            experiment_ids,
            wanted,
            run_view_type=view,
            order_by=["attributes.end_time DESC"],
            max_results=PAGE_SIZE,
        )
        return list(pages(search))  # whole, since closing a run shifts the pages


def load_from(
    store: MlflowStore, location: str, hashes: Mapping[str, str], title: str, *, is_known: bool
) -> "ServedModel":
    """Load the model at an artifact location; faults name it, and where it is, not its copy.

    One whose hashes are not known from the pool's own files is tried in a child first.
    """
    from crypto_pool.adapters.mlflow.artifact import load_model, read_files, try_in_child

    uri = f"{location}/artifacts"
    with store.local_copy(uri, title) as folder:
        try:
            if not is_known:
                read_files(folder, hashes)
                try_in_child(folder)
            return load_model(folder, hashes)
        except (ModelUnavailable, UntrustedModel) as fault:
            raise type(fault)(f"{title}: {str(fault).replace(str(folder), uri)}") from fault
