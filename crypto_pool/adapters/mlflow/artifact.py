"""A served model as files: the estimator in skops, and `calibration.json`, which describes it.

A baseline has no estimator. Nothing is deserialised before the folder holds exactly the expected
files, their hashes (kept outside the folder) agree, and every type inside is one this project
vouches for.
"""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from crypto_pool.adapters.mlflow.native_formats import NATIVE_FORMATS
from crypto_pool.adapters.mlflow.store import without_example
from crypto_pool.domain.calibrations import calibration_from_dict
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.served_model import BASELINES, PANEL_LOGIT, REFERENCE_LOGIT, ServedModel
from crypto_pool.errors import CryptoPoolError, ModelUnavailable, UntrustedModel

CALIBRATION_FILE = "calibration.json"
SKOPS_FILE = "estimator.skops"
ESTIMATOR_FILES = (SKOPS_FILE, *(native.file for native in NATIVE_FORMATS.values()))
EXAMPLE = {"artifact_path": "input_example.json", "type": "dataframe", "pandas_orient": "split"}
MODEL_PACKAGES = ("crypto-pool", "mlflow", "numpy", "pandas", "scikit-learn", "skops")
LOADING_SECONDS = 60.0
ALGORITHM_PACKAGES = {"XGBoost": ("xgboost-cpu", "xgboost"), "LightGBM": ("lightgbm",)}


def save_model(model: ServedModel, folder: Path) -> dict[str, str]:
    """Write the files of a model into `folder`; return the SHA-256 of each by name."""
    import skops.io

    description = {
        "algorithm": model.algorithm,
        "format": "none" if model.estimator is None else "skops",
        "calibration": model.calibration.to_dict(),
        "feature_names": list(model.feature_names),
        "anchor": model.anchor,
    }
    contents = {CALIBRATION_FILE: json.dumps(description, indent=2, sort_keys=True).encode()}
    if model.estimator is not None:
        contents[SKOPS_FILE] = bytes(skops.io.dumps(model.estimator))
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return {name: _sha256(data) for name, data in contents.items()}


def load_model(folder: Path, expected_hashes: Mapping[str, str] | None) -> ServedModel:
    """Read a model back, or say what makes it untrustworthy."""
    contents = read_files(folder, expected_hashes)
    description = _read_description(folder, contents)
    algorithm = str(description["algorithm"])
    try:
        return ServedModel(
            algorithm,
            calibration_from_dict(description["calibration"]),
            tuple(str(name) for name in description["feature_names"]),
            _read_estimator(algorithm, str(description["format"]), contents),
            description.get("anchor", REFERENCE_LOGIT),
        )
    except CryptoPoolError as fault:
        raise UntrustedModel(f"{folder}: {fault}") from fault
    except Exception as fault:
        raise UntrustedModel(
            f"{folder}: the {description['format']} file of {algorithm} cannot be read ({fault}); "
            "train and log the model again."
        ) from fault


def try_in_child(folder: Path) -> None:
    """Read a model in a process of its own first: a parser may abort or hang on what is no model.

    Raises:
        UntrustedModel: that process ended otherwise than well, or not in time.
    """
    command = [sys.executable, "-P", "-m", __name__, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOADING_SECONDS)
    except subprocess.TimeoutExpired:
        how = f"was not done in {LOADING_SECONDS:g} s"
    else:
        if done.returncode == 0:
            return
        said = (done.stderr.splitlines() or [""])[-1].partition(": ")[2]
        how = f"ended with {done.returncode}{': ' if said else ''}{said}"
    raise UntrustedModel(f"{folder}: reading its estimator in a process of its own {how}")


def read_files(folder: Path, expected_hashes: Mapping[str, str] | None) -> dict[str, bytes]:
    """Read a folder of a calibration and at most one estimator, and nothing else; compare hashes.

    Raises:
        ModelUnavailable: there is no such folder.
        UntrustedModel: it holds other files, or others than were logged.
    """
    if not folder.is_dir():
        raise ModelUnavailable(f"No model folder at {folder}.")
    names = {path.name for path in folder.iterdir()}
    beside = names - {CALIBRATION_FILE}
    if CALIBRATION_FILE not in names or len(beside) > 1 or not beside <= {*ESTIMATOR_FILES}:
        raise UntrustedModel(
            f"{folder} must hold {CALIBRATION_FILE} and one estimator file in a known format, "
            f"but holds: {', '.join(sorted(names)) or 'nothing'}."
        )
    contents = {name: (folder / name).read_bytes() for name in sorted(names)}
    actual = {name: _sha256(data) for name, data in contents.items()}
    expected = actual if expected_hashes is None else expected_hashes
    changed = [
        name for name in sorted({*actual, *expected}) if actual.get(name) != expected.get(name)
    ]
    if changed:
        raise UntrustedModel(
            f"{folder}: {', '.join(changed)} is not what was logged (SHA-256 differs)."
        )
    return contents


def save_pyfunc(
    whole: Path,
    files: Path,
    hashes: Mapping[str, str],
    of: ServedModel,
    named: Mapping[str, Any],
    example: pd.DataFrame | None,
) -> None:
    """Lay out the MLflow model in `whole`: the files, the serving code, the signature.

    `of` is the served model, `named` the keywords of `mlflow.models.Model` that say which it is,
    `example` rows as it takes them.
    """
    import mlflow.pyfunc
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    inputs = [ColSpec("double", name) for name in (*of.feature_names, REFERENCE_LOGIT)]
    inputs.append(ColSpec("double", PANEL_LOGIT, required=False))
    outputs = Schema([TensorSpec(np.dtype("float64"), (-1,))])
    with without_example():
        mlflow.pyfunc.save_model(
            path=whole,
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={name.partition(".")[0]: str(files / name) for name in hashes},
            mlflow_model=Model(
                **named, saved_input_example_info=None if example is None else EXAMPLE
            ),
            signature=ModelSignature(inputs=Schema(inputs), outputs=outputs),
            pip_requirements=list(_requirements(of.algorithm)),
        )
    # MLflow would load the model and ask it, for each that is logged.
    if example is not None:
        example.to_json(whole / EXAMPLE["artifact_path"], orient="split", index=False)


def _read_estimator(algorithm: str, form: str, contents: Mapping[str, bytes]) -> Any:
    if form == "none":
        return None
    if form in NATIVE_FORMATS:
        return NATIVE_FORMATS[form].read(contents[NATIVE_FORMATS[form].file])
    import skops.io

    data, trusted = contents[SKOPS_FILE], CANDIDATES[algorithm].trusted_types
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise UntrustedModel(
            "The stored estimator is not a skops archive; train and log the model again."
        )
    foreign = sorted(set(skops.io.get_untrusted_types(data=data)) - set(trusted))
    if foreign:
        raise UntrustedModel(
            f"The stored estimator contains types nobody vouches for: {', '.join(foreign)}; train "
            "and log the model again."
        )
    return skops.io.loads(data, trusted=list(trusted))


def _read_description(folder: Path, contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Parse `calibration.json` and check it against the table of candidates."""
    try:
        description = json.loads(contents[CALIBRATION_FILE])
        algorithm, form = str(description["algorithm"]), str(description["format"])
        complete = {"calibration", "feature_names"} <= description.keys()
        anchor = description.get("anchor", REFERENCE_LOGIT)
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise UntrustedModel(f"{folder}: {CALIBRATION_FILE} is malformed ({fault}).") from fault
    if not complete or anchor not in (REFERENCE_LOGIT, PANEL_LOGIT):
        raise UntrustedModel(f"{folder}: {CALIBRATION_FILE} is incomplete.")
    if algorithm not in {*CANDIDATES, *BASELINES}:
        raise UntrustedModel(f"{folder}: unknown algorithm {algorithm!r}.")
    files = {"none": ""} if algorithm in BASELINES else {"skops": SKOPS_FILE}
    files |= {key: one.file for key, one in NATIVE_FORMATS.items() if one.algorithm == algorithm}
    if form not in files or contents.keys() != {CALIBRATION_FILE, files[form]} - {""}:
        raise UntrustedModel(f"{folder}: {algorithm} is not stored as {form!r}.")
    return dict(description)


@cache
def _requirements(algorithm: str) -> tuple[str, ...]:
    """Pin what a model needs, from what is installed; naming it spares MLflow its inference."""
    pins = []
    for package in (*MODEL_PACKAGES, *ALGORITHM_PACKAGES.get(algorithm, ())):
        try:
            pins.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue
    return tuple(pins)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    load_model(Path(sys.argv[1]), None)
