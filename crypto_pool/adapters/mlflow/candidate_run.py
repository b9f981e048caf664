"""What a candidate's run holds: its tags, parameters, figures and files, written and read."""

import json
import math
from dataclasses import replace
from datetime import date
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crypto_pool.adapters.mlflow.recording import NewRun, put_files
from crypto_pool.adapters.mlflow.store import OWN_TAG
from crypto_pool.errors import UntrustedModel

if TYPE_CHECKING:
    import pandas as pd

    from crypto_pool.domain.fitting import TrainedCandidate
    from crypto_pool.domain.recipe import Recipe

ALGORITHM_TAG = "algorithm"
DAGSTER_RUN_TAG = "dagster.run_id"
# dagster-mlflow finds its run by this one; only parents carry it
PARENT_DAGSTER_RUN_TAG = "dagster_run_id"
DATA_HASH_TAG = "data_hash"
FEATURE_IMPORTANCE_TAG = "feature_importance"
HASHES_TAG = "model_sha256"
MODEL_URI_TAG = "model_uri"
SETTINGS_TAG = "settings"
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


def tags_of(candidate: "TrainedCandidate") -> dict[str, str]:
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
        SETTINGS_TAG: settings_tag(candidate.recipe),
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


def settings_tag(recipe: "Recipe") -> str:
    """Return what tells the runs of a recipe from others."""
    return json.dumps(recipe.fit_settings(), sort_keys=True)


def write_candidate(
    run: NewRun, candidate: "TrainedCandidate", example: "pd.DataFrame | None", fit_seconds: float
) -> "TrainedCandidate":
    """Write the model, the rows behind the metrics, and the figures; return what is read back."""
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
    put_files(run.client, run.address, tables)
    _name_rows(run, candidate)
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
        (f"fold{ASIDE}{name}", value, fold)
        for fold, known in scores.items()
        for name, value in known.items()
        if value is not None
    ]
    figures = [*((name, value, 0) for name, value in (defined | beside).items()), *by_fold]
    hashes, built = artifact.hashes_of(files), _hyper_parameters(model.estimator)
    tags = {
        **TABLES_TAG,
        MODEL_URI_TAG: f"models:/{logged.model_id}",
        HASHES_TAG: json.dumps(hashes),
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


def read_candidate(run: Any, stored: bytes) -> "TrainedCandidate":
    """Return a candidate from its run and the file of its evaluation, its model left there."""
    try:
        return _candidate(run, stored)
    except (KeyError, ValueError, TypeError, OSError) as fault:  # those of Arrow among them
        raise UntrustedModel(
            f"run {run.info.run_id} is not as it was logged: a tag, a parameter or "
            f"{EVALUATION_FILE} is gone or damaged ({fault}); train the candidate again."
        ) from fault


def _candidate(run: Any, stored: bytes) -> "TrainedCandidate":
    import pandas as pd

    from crypto_pool.domain.fitting import TrainedCandidate
    from crypto_pool.domain.recipe import Recipe

    tags, evaluation = run.data.tags, pd.read_parquet(BytesIO(stored))
    undefined = json.loads(tags.get(UNDEFINED_METRICS_TAG, "[]"))
    settings = {
        "evaluation_policy": tags["evaluation_policy"],
        "seed": int(run.data.params["seed"]),
        **json.loads(tags[SETTINGS_TAG]),
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


def _name_rows(run: NewRun, candidate: "TrainedCandidate") -> None:
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
        run.client.log_inputs(run.run_id, inputs)
    except MlflowException as fault:
        if not isinstance(fault.__cause__, IntegrityError):
            raise
        # A sister run named the same rows at the same moment; now they are found.
        run.client.log_inputs(run.run_id, inputs)


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
