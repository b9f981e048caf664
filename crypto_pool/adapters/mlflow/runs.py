"""One MLflow run for each trained candidate, by explicit ids: no active run, no global URI."""

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import cache, partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from crypto_pool.adapters.mlflow.store import OWN_TAG, TRAINING_EXPERIMENT, MlflowStore, pages
from crypto_pool.errors import CryptoPoolError, ModelUnavailable, UntrustedModel

if TYPE_CHECKING:
    import pandas as pd

    from crypto_pool.domain.fitting import TrainedCandidate
    from crypto_pool.domain.recipe import Recipe
    from crypto_pool.domain.served_model import ServedModel

ALGORITHM_TAG = "algorithm"
DAGSTER_RUN_TAG = "dagster.run_id"
# dagster-mlflow finds its run by this one; only parents carry it
PARENT_DAGSTER_RUN_TAG = "dagster_run_id"
DATA_HASH_TAG = "data_hash"
FEATURE_IMPORTANCE_TAG = "feature_importance"
HASHES_TAG = "model_sha256"
MODEL_URI_TAG = "model_uri"
TRAINING_KEY_TAG = "training_key"
UNDEFINED_METRICS_TAG = "undefined_metrics"
ESTIMATOR = "estimator."
MODEL_NAME = "model"
ASIDE = "/"  # in the name of what is told of a run and promises nothing; MLflow groups by it
EVALUATION_FILE = "evaluation.parquet"
FOLDS_FILE = "scores_by_fold.json"
# As MLflow's own `log_table` names a table, without its three calls for each.
TABLES_TAG = {"mlflow.loggedArtifacts": json.dumps([{"path": FOLDS_FILE, "type": "table"}])}
DIGEST_LENGTH = 36  # MLflow stores no longer one
PAGE_SIZE = 1000
UNOWNED_SECONDS = 60


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

        `example` are rows as its model takes them. The run begins when the fit did.
        """
        client, run_id = self.store.client, None
        experiment = self.store.experiment_id(candidate.member_name)
        tags = _tags(candidate) | {TRAINING_KEY_TAG: training_key, DAGSTER_RUN_TAG: dagster_run_id}
        if parent_run_id is not None:
            tags["mlflow.parentRunId"] = parent_run_id
        try:
            began = int((time.time() - fit_seconds) * 1000)
            run_id = str(client.create_run(experiment, began, tags).info.run_id)
            tags |= self._write_model(experiment, run_id, candidate, example)
            tags |= self._write_evaluation(run_id, candidate)
            self._name_rows(run_id, candidate)
            tags |= self._finish(run_id, candidate, tags, fit_seconds)
        except BaseException as fault:
            if run_id is not None:
                self.end(run_id, "FAILED" if isinstance(fault, Exception) else "KILLED")
            raise
        return self.get(run_id)

    def get(self, run_id: str) -> "TrainedCandidate":
        """Return a finished candidate, its model left where it is; raises ModelUnavailable."""
        return self._read(self._run(run_id, f"run {run_id}"))

    def latest(
        self, member_name: str, data_hash: str, recipe: "Recipe", code_version: str
    ) -> "dict[str, TrainedCandidate]":
        """Return the latest finished run of each algorithm on these data, recipe and code.

        A run whose files are gone or changed is passed over.
        """
        found: dict[str, TrainedCandidate] = {}
        wanted = {DATA_HASH_TAG: data_hash, "code_version": code_version}
        for run in self._finished(member_name, wanted):
            same = recipe.fit_settings() == json.loads(run.data.tags["settings"])
            if same and run.data.tags[ALGORITHM_TAG] not in found:
                candidate = self._intact(run)
                if candidate is not None:
                    found[candidate.algorithm] = candidate
        return found

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
        except KeyError as fault:
            raise ModelUnavailable(f"{title}: its run has no tag {fault}.") from fault
        except MlflowException as fault:
            raise ModelUnavailable(f"{title} cannot be found: {fault.message}") from fault
        return load_from(self.store, location, hashes, title, is_known=True)

    def model_location(self, tags: Mapping[str, str]) -> str:
        """Return where the model of a run with these tags lies."""
        model_id = tags[MODEL_URI_TAG].removeprefix("models:/")
        return str(self.store.client.get_logged_model(model_id).artifact_location)

    def load_file(self, run_id: str, name: str) -> bytes:
        """Return a file that was put on a run; raises ModelUnavailable."""
        return self._file(self._run(run_id, f"{name} of run {run_id}"), name)

    def put_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Put files on a run as artifacts, in place of those of the same name."""
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            self.store.client.log_artifacts(run_id, folder)

    def set_feature_importance(self, run_id: str, importance: Mapping[str, float]) -> None:
        """Put the feature importance on a run, as JSON."""
        self.store.client.set_tag(run_id, FEATURE_IMPORTANCE_TAG, json.dumps(dict(importance)))

    def end(self, run_id: str, status: str) -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        self.store.client.set_terminated(run_id, status)

    def close_orphans(self, is_alive: Callable[[str], bool]) -> int:
        """End as KILLED the pool's RUNNING runs without a live Dagster run; return how many."""
        ids = [found.experiment_id for found in self.store.own_experiments()]
        opened = self.store.experiment_id(TRAINING_EXPERIMENT)
        closed, alive = 0, cache(is_alive)
        for run in self._search(ids, "attributes.status = 'RUNNING'"):
            tags = run.data.tags
            owner = tags.get(DAGSTER_RUN_TAG) or tags.get(PARENT_DAGSTER_RUN_TAG)
            # A process killed between opening a parent run and tagging it leaves one without an
            # owner; elsewhere, where runs are made with their tags, it is somebody else's.
            old = run.info.start_time < (time.time() - UNOWNED_SECONDS) * 1000
            unowned = owner is None and run.info.experiment_id == opened and old
            if unowned or (owner is not None and not alive(owner)):
                self.end(run.info.run_id, "KILLED")
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
        for experiment in self.store.own_experiments():
            ids = [experiment.experiment_id]
            ended = f"attributes.end_time < {int(before.timestamp() * 1000)}"
            for run in self._search(ids, ended):
                if TRAINING_KEY_TAG in run.data.tags and run.info.run_id not in kept:
                    self.store.client.delete_run(run.info.run_id)
            for run in self._search(ids, "", ViewType.DELETED_ONLY):
                is_own = TRAINING_KEY_TAG in run.data.tags
                folder = self._own_folder(run.info.artifact_uri) if is_own else None
                if folder is not None and run.info.run_id not in kept:
                    size += self._remove_models(ids, run.info.run_id) + self._remove(folder)
                    count += 1
        return count, size

    # Writing

    def _write_model(
        self,
        experiment: str,
        run_id: str,
        candidate: "TrainedCandidate",
        example: "pd.DataFrame | None",
    ) -> dict[str, str]:
        """Store the model of a run; return the tags that name it and vouch for its files."""
        from mlflow.entities import LoggedModelOutput

        from crypto_pool.adapters.mlflow import artifact

        client = self.store.client
        logged = client.create_logged_model(
            experiment, name=MODEL_NAME, source_run_id=run_id, tags={OWN_TAG: "model"}
        )
        try:
            with tempfile.TemporaryDirectory() as folder:
                files, whole = Path(folder) / "files", Path(folder) / MODEL_NAME
                hashes = artifact.save_model(candidate.served, files)
                named = {
                    "artifact_path": logged.artifact_location,
                    "run_id": run_id,
                    "model_uuid": logged.model_id,
                    "model_id": logged.model_id,
                }
                artifact.save_pyfunc(whole, files, hashes, candidate.served, named, example)
                client.log_model_artifacts(logged.model_id, str(whole))
            client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
            client.finalize_logged_model(logged.model_id, "READY")
        except BaseException:
            client.finalize_logged_model(logged.model_id, "FAILED")
            raise
        return {
            MODEL_URI_TAG: f"models:/{logged.model_id}",
            HASHES_TAG: json.dumps(hashes, sort_keys=True),
        }

    def _write_evaluation(self, run_id: str, candidate: "TrainedCandidate") -> dict[str, str]:
        """Store the rows behind the metrics, and the scores by fold; return their tags."""
        import pandas as pd

        folds = pd.DataFrame([{"fold": fold, **scores} for fold, scores in candidate.folds.items()])
        with tempfile.TemporaryDirectory() as folder:
            candidate.evaluation.to_parquet(Path(folder) / EVALUATION_FILE)
            folds.to_json(Path(folder) / FOLDS_FILE, orient="split", index=False)
            self.store.client.log_artifacts(run_id, folder)
        return TABLES_TAG

    def _name_rows(self, run_id: str, candidate: "TrainedCandidate") -> None:
        """Name the rows a run was trained on; a registered version's are stored by this hash."""
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import IntegrityError

        names = candidate.served.feature_names
        columns = [{"type": "double", "name": name, "required": True} for name in names]
        rows = Dataset(
            name=candidate.member_name,
            digest=candidate.data_hash[:DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": f"training_snapshots/{candidate.data_hash}"}),
            schema=json.dumps({"mlflow_colspec": columns}),
        )
        inputs = [DatasetInput(rows, tags=[InputTag("mlflow.data.context", "training")])]
        try:
            self.store.client.log_inputs(run_id, inputs)
        except MlflowException as fault:
            if not isinstance(fault.__cause__, IntegrityError):
                raise
            # A sister run named the same rows at the same moment; now they are found.
            self.store.client.log_inputs(run_id, inputs)

    def _finish(
        self,
        run_id: str,
        candidate: "TrainedCandidate",
        tags: Mapping[str, str],
        fit_seconds: float,
    ) -> dict[str, str]:
        """Write parameters, metrics and tags in one go, then end the run."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        defined = {
            name: float(value)
            for name, value in candidate.metrics.items()
            if value is not None and math.isfinite(value)
        }
        undefined = json.dumps(sorted(candidate.metrics.keys() - defined))
        weights = candidate.served.calibration.to_dict().items()
        beside = {f"calibration{ASIDE}{k}": v for k, v in weights if isinstance(v, float)}
        beside[f"fit{ASIDE}seconds"] = fit_seconds
        self.store.client.log_batch(
            run_id,
            metrics=[
                *(Metric(name, value, now, 0) for name, value in (defined | beside).items()),
                *(
                    Metric(f"fold_{name}", float(value), now, fold)
                    for fold, scores in candidate.folds.items()
                    for name, value in scores.items()
                    if value is not None
                ),
            ],
            params=[Param(name, str(value)) for name, value in _parameters(candidate).items()],
            tags=[RunTag(k, v) for k, v in {**tags, UNDEFINED_METRICS_TAG: undefined}.items()],
        )
        self.end(run_id, "FINISHED")
        return {UNDEFINED_METRICS_TAG: undefined}

    # Reading

    def _read(self, run: Any) -> "TrainedCandidate":
        import pandas as pd
        import pyarrow

        from crypto_pool.domain.fitting import TrainedCandidate
        from crypto_pool.domain.recipe import Recipe

        tags, stored = run.data.tags, self._file(run, EVALUATION_FILE)
        try:
            evaluation = pd.read_parquet(BytesIO(stored))
        except pyarrow.ArrowException as fault:
            raise UntrustedModel(
                f"{EVALUATION_FILE} of run {run.info.run_id} cannot be read ({fault}); train the "
                "candidate again."
            ) from fault
        undefined = json.loads(tags.get(UNDEFINED_METRICS_TAG, "[]"))
        settings = {
            "evaluation_policy": tags["evaluation_policy"],
            "seed": int(run.data.params["seed"]),
            **json.loads(tags["settings"]),
        }
        if "baseline_probability" not in evaluation:  # of version 1.0, whose anchor it was
            evaluation["baseline_probability"] = evaluation["reference_probability"]
        return TrainedCandidate(
            algorithm=tags[ALGORITHM_TAG],
            decision_threshold=float(tags["decision_threshold"]),
            trained_through=pd.Timestamp(tags["trained_through"]),
            chosen_through=pd.Timestamp(tags["chosen_through"]),
            metrics={
                **{name: value for name, value in run.data.metrics.items() if ASIDE not in name},
                **dict.fromkeys(undefined),
            },
            evaluation=evaluation,
            recipe=Recipe.from_settings(settings),
            notes=tuple(filter(None, tags["notes"].split("; "))),
            member_name=tags["member"],
            as_of=date.fromisoformat(tags["as_of"]),
            data_hash=tags[DATA_HASH_TAG],
            code_version=tags["code_version"],
            synthetic=tags.get("synthetic") == "true",
            run_id=run.info.run_id,
            model_hashes=json.loads(tags[HASHES_TAG]),
            hyper_parameters={
                name.removeprefix(ESTIMATOR): value
                for name, value in run.data.params.items()
                if name.startswith(ESTIMATOR)
            },
        )

    def _intact(self, run: Any) -> "TrainedCandidate | None":
        """Return a run's candidate, or None where its files are gone or not what was logged."""
        from mlflow.exceptions import MlflowException

        from crypto_pool.adapters.mlflow.artifact import read_files

        tags = run.data.tags
        try:
            location = f"{self.model_location(tags)}/artifacts"
            with self.store.local_copy(location, run.info.run_id) as folder:
                read_files(folder, json.loads(tags[HASHES_TAG]))
            return self._read(run)
        except (CryptoPoolError, MlflowException, KeyError, OSError):
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
            if not path.exists():
                raise ModelUnavailable(f"{title} is not at {path}; train the candidate again.")
            return path.read_bytes()

    def _finished(self, member_name: str, wanted: Mapping[str, str]) -> Iterator[Any]:
        """Yield finished candidate runs with these tags, the latest first."""
        experiment = self.store.client.get_experiment_by_name(member_name)
        if experiment is None:
            return
        parts = [f"tags.{name} = '{value}'" for name, value in wanted.items()]
        for run in self._search(
            [experiment.experiment_id], " and ".join(["attributes.status = 'FINISHED'", *parts])
        ):
            if {ALGORITHM_TAG, MODEL_URI_TAG} <= run.data.tags.keys():
                yield run

    def _search(self, experiment_ids: list[str], wanted: str, view: Any = 1) -> list[Any]:
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

    # Removal

    def _remove_models(self, experiment_ids: list[str], run_id: str) -> int:
        client, size = self.store.client, 0
        search = partial(client.search_logged_models, experiment_ids, f"source_run_id = '{run_id}'")
        for model in list(pages(search)):
            folder = self._own_folder(model.artifact_location)
            size += 0 if folder is None else self._remove(folder)
            client.delete_logged_model(model.model_id)
        return size

    def _own_folder(self, artifact_uri: str) -> str | None:
        """Return the existing folder of a run or a model, if it lies below the artifact root."""
        import fsspec

        files, root = fsspec.core.url_to_fs(self.store.artifact_root)
        files.invalidate_cache()
        folder = PurePosixPath(fsspec.core.url_to_fs(artifact_uri)[1]).parent
        is_below = PurePosixPath(root) in folder.parents and ".." not in folder.parts
        return str(folder) if is_below and files.isdir(str(folder)) else None

    def _remove(self, folder: str) -> int:
        import fsspec

        files, _ = fsspec.core.url_to_fs(self.store.artifact_root)
        size = int(files.du(folder))
        files.rm(folder, recursive=True)
        return size


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


def _tags(candidate: "TrainedCandidate") -> dict[str, str]:
    """Return the tags a run is created with, so that it is never without an owner."""
    symbol, _, trend = candidate.member_name.rpartition("_")
    return {
        OWN_TAG: "candidate",
        "member": candidate.member_name,
        "symbol": symbol,
        "trend": trend,
        ALGORITHM_TAG: candidate.algorithm,
        DATA_HASH_TAG: candidate.data_hash,
        "code_version": candidate.code_version,
        "settings": json.dumps(candidate.recipe.fit_settings(), sort_keys=True),
        "synthetic": str(candidate.synthetic).lower(),
        "mlflow.runName": f"{candidate.member_name} {candidate.algorithm}",
        "as_of": candidate.as_of.isoformat(),
        "evaluation_policy": candidate.recipe.evaluation_policy,
        "trained_through": f"{candidate.trained_through:%Y-%m-%d}",
        "chosen_through": f"{candidate.chosen_through:%Y-%m-%d}",
        "decision_threshold": repr(float(candidate.decision_threshold)),
        "notes": "; ".join(candidate.notes),
        **_git_commit(),
    }


def _parameters(candidate: "TrainedCandidate") -> dict[str, Any]:
    weights = {str(label): weight for label, weight in candidate.class_weights.items()}
    return {
        **candidate.recipe.fit_settings(),
        "decision_threshold": candidate.decision_threshold,
        "class_weights": json.dumps(weights),
        "calibration_kind": candidate.served.calibration.to_dict()["kind"],
        **_hyper_parameters(candidate.served.estimator),
    }


def _hyper_parameters(estimator: Any) -> dict[str, Any]:
    """Return what an estimator was built with, by names with a prefix, but for what is None.

    Those of the parts of a pipeline are told by their own names.
    """
    known = {} if estimator is None else estimator.get_params()
    return {
        f"{ESTIMATOR}{name.rpartition('__')[2]}": value
        for name, value in known.items()
        if isinstance(value, bool | int | float | str | tuple) and value == value
    }


@cache
def _git_commit() -> dict[str, str]:
    """Return MLflow's tag of the commit that a checkout stands at; a wheel has none."""
    from mlflow.utils.git_utils import get_git_commit

    package = Path(__file__).parents[2]
    commit = get_git_commit(str(package)) if (package.parent / ".git").exists() else None
    return {"mlflow.source.git.commit": commit} if commit else {}
