"""One MLflow run for each trained candidate: written, found again, read."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crypto_pool.adapters.mlflow.recording import NewRun, new_run, put_files
from crypto_pool.adapters.mlflow.store import OWN_TAG, MlflowStore, pages
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
MODEL_PACKAGES = ("crypto-pool", "mlflow", "numpy", "pandas", "scikit-learn", "skops")
ALGORITHM_PACKAGES = {"XGBoost": ("xgboost-cpu", "xgboost"), "LightGBM": ("lightgbm",)}
ASIDE = "/"  # in the name of what is told of a run and promises nothing; MLflow groups by it
EVALUATION_FILE = "evaluation.parquet"
FOLDS_FILE = "scores_by_fold.json"
# As MLflow's own `log_table` names a table, without its three calls for each.
TABLES_TAG = {"mlflow.loggedArtifacts": json.dumps([{"path": FOLDS_FILE, "type": "table"}])}
DIGEST_LENGTH = 36  # MLflow stores no longer one
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
        tags = _tags(candidate) | {TRAINING_KEY_TAG: training_key, DAGSTER_RUN_TAG: dagster_run_id}
        if parent_run_id is not None:
            tags["mlflow.parentRunId"] = parent_run_id
        with new_run(self.store, candidate.member_name, tags, fit_seconds) as run:
            return self._write(run, candidate, example, fit_seconds)

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

    def describe(
        self, run_id: str, importance: Mapping[str, float], files: Mapping[str, bytes]
    ) -> None:
        """Put the feature importance on a run as JSON, and files as artifacts."""
        self.store.client.set_tag(run_id, FEATURE_IMPORTANCE_TAG, json.dumps(dict(importance)))
        put_files(self.store.client, run_id, files)

    def end(self, run_id: str, status: str) -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        self.store.client.set_terminated(run_id, status)

    # Writing

    def _write(
        self,
        run: NewRun,
        candidate: "TrainedCandidate",
        example: "pd.DataFrame | None",
        fit_seconds: float,
    ) -> "TrainedCandidate":
        """Write the model, the rows behind the metrics, and the figures of a run."""
        import pandas as pd

        from crypto_pool.adapters.mlflow import artifact

        model, metrics, scores = candidate.served, candidate.metrics, candidate.folds
        files = artifact.model_files(model)
        logged = run.write_model(
            "served_model.py",
            files,
            artifact.signature_of(model),
            (*MODEL_PACKAGES, *ALGORITHM_PACKAGES.get(candidate.algorithm, ())),
            example,
        )
        folds = pd.DataFrame([{"fold": fold, **known} for fold, known in scores.items()])
        tables = {
            EVALUATION_FILE: candidate.evaluation.to_parquet(),
            FOLDS_FILE: folds.to_json(orient="split", index=False).encode(),
        }
        put_files(run.client, run.run_id, tables)
        self._name_rows(run.run_id, candidate)
        defined = {
            name: float(value)
            for name, value in metrics.items()
            if value is not None and math.isfinite(value)
        }
        undefined = sorted(metrics.keys() - defined)
        weights = model.calibration.to_dict().items()
        beside = {f"calibration{ASIDE}{k}": v for k, v in weights if isinstance(v, float)}
        beside[f"fit{ASIDE}seconds"] = fit_seconds
        by_fold = [
            (f"fold_{name}", value, fold)
            for fold, known in scores.items()
            for name, value in known.items()
            if value is not None
        ]
        figures = [*((name, value, 0) for name, value in (defined | beside).items()), *by_fold]
        hashes, built = artifact.hashes_of(files), _hyper_parameters(model.estimator)
        tags = {
            **TABLES_TAG,
            MODEL_URI_TAG: f"models:/{logged.model_id}",
            HASHES_TAG: json.dumps(hashes, sort_keys=True),
            UNDEFINED_METRICS_TAG: json.dumps(undefined),
        }
        run.write_figures(figures, {**_parameters(candidate), **built}, tags)
        return replace(
            candidate,
            metrics={**defined, **dict.fromkeys(undefined)},
            model=None,
            folds={},
            class_weights={},
            run_id=run.run_id,
            model_hashes=hashes,
            hyper_parameters={
                name.removeprefix(ESTIMATOR): str(value) for name, value in built.items()
            },
        )

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
