"""One MLflow run for each candidate, by explicit ids: no active run, no global tracking URI."""

import json
import tempfile
import time
import warnings
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from crypto_pool.adapters.model_files import CALIBRATION_FILE, save_model
from crypto_pool.adapters.model_records import (
    HASHES_TAG,
    MODEL_URI_TAG,
    UNDEFINED_METRICS_TAG,
    CandidateFit,
    RunRecord,
)
from crypto_pool.domain.training import REFERENCE_LOGIT

MODEL_NAME = "model"
DIGEST_LENGTH = 36  # MLflow stores no longer one
EVALUATION_FILE = "evaluation.parquet"
FOLDS_FILE = "scores_by_fold.json"
# As MLflow's own `log_table` names a table, without its three calls for each.
TABLES_TAG = {"mlflow.loggedArtifacts": json.dumps([{"path": FOLDS_FILE, "type": "table"}])}
MODEL_PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn")
FORMAT_PACKAGES = {
    ".skops": ("skops",),
    ".ubj": ("xgboost-cpu", "xgboost"),
    ".txt": ("lightgbm",),
    ".keras": ("keras", "jax"),
}


def write_candidate_run(client: Any, experiment_id: str, fit: CandidateFit) -> RunRecord:
    """Log a candidate; whatever interrupts it, its run does not stay RUNNING."""
    run_id = None
    try:
        run_id = str(client.create_run(experiment_id, tags=fit.run_tags()).info.run_id)
        tags = write_model(client, experiment_id, run_id, fit)
        tags |= _write_evaluation(client, run_id, fit)
        _write_dataset(client, run_id, fit)
        return _finish_run(client, run_id, fit, tags)
    except BaseException as fault:
        if run_id is not None:
            client.set_terminated(run_id, "FAILED" if isinstance(fault, Exception) else "KILLED")
        raise


def write_model(client: Any, experiment_id: str, run_id: str, fit: CandidateFit) -> dict[str, str]:
    """Store the model of a run; return the tags that name it and vouch for its files."""
    from mlflow.entities import LoggedModelOutput

    logged = client.create_logged_model(experiment_id, name=MODEL_NAME, source_run_id=run_id)
    try:
        with tempfile.TemporaryDirectory() as folder:
            files, whole = Path(folder) / "files", Path(folder) / MODEL_NAME
            hashes = save_model(
                fit.estimator, fit.calibration, fit.algorithm, fit.feature_names, files
            )
            _save_pyfunc(whole, files, hashes, logged, run_id, fit.feature_names)
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


def _write_evaluation(client: Any, run_id: str, fit: CandidateFit) -> dict[str, str]:
    """Store the rows the metrics were measured on, and the scores by fold; return their tags."""
    import pandas as pd

    if fit.evaluation is None:
        return {}
    folds = pd.DataFrame([{"fold": fold, **scores} for fold, scores in fit.fold_metrics.items()])
    with tempfile.TemporaryDirectory() as folder:
        fit.evaluation.to_parquet(Path(folder) / EVALUATION_FILE)
        folds.to_json(Path(folder) / FOLDS_FILE, orient="split", index=False)
        client.log_artifacts(run_id, folder)
    return TABLES_TAG


def _write_dataset(client: Any, run_id: str, fit: CandidateFit) -> None:
    """Name the rows a run was trained on; those of a registered version are stored by this hash."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import IntegrityError

    rows = Dataset(
        name=fit.member_name,
        digest=fit.data_hash[:DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": f"training_snapshots/{fit.data_hash}"}),
        schema=json.dumps({"mlflow_colspec": [_column(name) for name in fit.feature_names]}),
    )
    inputs = [DatasetInput(rows, tags=[InputTag("mlflow.data.context", "training")])]
    try:
        client.log_inputs(run_id, inputs)
    except MlflowException as fault:
        if not isinstance(fault.__cause__, IntegrityError):
            raise
        # A sister run named the same rows at the same moment; now they are found.
        client.log_inputs(run_id, inputs)


def _column(name: str) -> dict[str, object]:
    return {"type": "double", "name": name, "required": True}


def _finish_run(client: Any, run_id: str, fit: CandidateFit, tags: dict[str, str]) -> RunRecord:
    """Write parameters, metrics and tags in one go, then end the run."""
    from mlflow.entities import Metric, Param, RunTag

    metrics = fit.all_metrics()
    undefined = sorted(name for name, value in metrics.items() if value is None)
    defined = {name: value for name, value in metrics.items() if value is not None}
    tags = {**tags, UNDEFINED_METRICS_TAG: json.dumps(undefined)}
    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[
            *(Metric(name, value, now, 0) for name, value in defined.items()),
            *(
                Metric(f"fold_{name}", float(value), now, fold)
                for fold, scores in fit.fold_metrics.items()
                for name, value in scores.items()
                if value is not None
            ),
        ],
        params=[Param(name, str(value)) for name, value in fit.parameters.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )
    client.set_terminated(run_id, "FINISHED")
    return RunRecord.from_data(run_id, defined, {**fit.run_tags(), **tags})


def _save_pyfunc(
    whole: Path,
    files: Path,
    hashes: dict[str, str],
    logged: Any,
    run_id: str,
    feature_names: Sequence[str],
) -> None:
    """Lay out the MLflow model in `whole`: the two files, the serving code, the signature."""
    import mlflow.pyfunc
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    inputs = Schema([ColSpec("double", name) for name in (*feature_names, REFERENCE_LOGIT)])
    outputs = Schema([TensorSpec(np.dtype("float64"), (-1,))])
    estimator_file = next(name for name in hashes if name != CALIBRATION_FILE)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example was not provided.*")
        mlflow.pyfunc.save_model(
            path=whole,
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={
                "estimator": str(files / estimator_file),
                "calibration": str(files / CALIBRATION_FILE),
            },
            mlflow_model=Model(
                artifact_path=logged.artifact_location,
                run_id=run_id,
                model_uuid=logged.model_id,
                model_id=logged.model_id,
            ),
            signature=ModelSignature(inputs=inputs, outputs=outputs),
            pip_requirements=list(_requirements(Path(estimator_file).suffix)),
        )


@cache
def _requirements(suffix: str) -> tuple[str, ...]:
    """Pin what a model needs, from what is installed; naming it spares MLflow its inference."""
    pins = []
    for package in (*MODEL_PACKAGES, *FORMAT_PACKAGES[suffix]):
        try:
            pins.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue
    return tuple(pins)
