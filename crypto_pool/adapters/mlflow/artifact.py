"""A served model as files: the estimator in skops, and `calibration.json`, which describes it.

A baseline has no estimator. Nothing is deserialised before the folder holds exactly the expected
files, their hashes (kept outside the folder) agree, and every type inside is one this project
vouches for.
"""

import atexit
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import IO, Any, cast

import psutil

from crypto_pool.adapters.extensions import Extensions, loaded_extensions
from crypto_pool.adapters.mlflow import skops_files
from crypto_pool.adapters.mlflow.native_formats import NATIVE_FORMATS
from crypto_pool.domain.calibrations import calibration_from_dict
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.served_model import BASELINES, PANEL_LOGIT, REFERENCE_LOGIT, ServedModel
from crypto_pool.errors import CryptoPoolError, ModelUnavailable, UntrustedModel

CALIBRATION_FILE = "calibration.json"
SKOPS_FILE = "estimator.skops"
ESTIMATOR_FILES = (SKOPS_FILE, *(native.file for native in NATIVE_FORMATS.values()))
LOADING_SECONDS = 60.0  # of the processor: on a busy machine they take long
WAITING_SECONDS = 900.0  # of the clock: for what hangs without working
LOOK_AGAIN_SECONDS = 1.0
ONE_AT_A_TIME = Lock()


def model_files(model: ServedModel) -> dict[str, bytes]:
    """Return the files of a model, by name."""
    description = {
        "algorithm": model.algorithm,
        "format": "none" if model.estimator is None else "skops",
        "calibration": model.calibration.to_dict(),
        "feature_names": list(model.feature_names),
        "anchor": model.anchor,
    }
    files = {CALIBRATION_FILE: json.dumps(description, indent=2).encode()}
    if model.estimator is not None:
        files[SKOPS_FILE], own = skops_files.dumps(model.estimator), CANDIDATES[model.algorithm]
        if own.code:
            skops_files.require_trusted(files[SKOPS_FILE], own.trusted_types)
    return files


def hashes_of(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file, by name."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


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

    That process stays for the next one, until a model ends it.

    Raises:
        UntrustedModel: it told a fault, ended or did not answer in time.
    """
    with ONE_AT_A_TIME:
        if (ended := _child(os.getpid())).poll() is not None:  # by somebody else
            ended.communicate()
            _child.cache_clear()
        child, how = _child(os.getpid()), ""
        tell, answers = cast(IO[str], child.stdin), cast(IO[str], child.stdout)
        print(json.dumps(str(folder)), file=tell, flush=True)
        is_in_time = _in_time(child.pid, answers)
        if answer := answers.readline() if is_in_time else "":
            how = json.loads(answer)
        else:
            _child.cache_clear()
            if not is_in_time:
                child.kill()
            child.communicate()  # closes both pipes
            how = (
                f"ended with {child.returncode}"
                if is_in_time
                else f"was not done in {LOADING_SECONDS:g} s of processor time, or "
                f"{WAITING_SECONDS:g} s in all"
            )
    if how:
        raise UntrustedModel(f"{folder}: reading its estimator in a process of its own {how}")


def _in_time(pid: int, answers: IO[str]) -> bool:
    """Wait until a process answers or ends; false once it worked or hung for too long."""
    process, deadline = psutil.Process(pid), monotonic() + WAITING_SECONDS
    most = sum(process.cpu_times()[:2]) + LOADING_SECONDS
    while not wait([answers.fileno()], LOOK_AGAIN_SECONDS):
        if sum(process.cpu_times()[:2]) >= most or monotonic() > deadline:
            return False
    return True


@cache
def _child(parent: int) -> "subprocess.Popen[str]":
    """Return the process that tries models for this one; it ends with its input."""
    own = loaded_extensions()
    command = [sys.executable, "-P", "-m", __name__, own.home, *own.modules]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    atexit.register(_end, child, parent)
    return child


def _end(child: "subprocess.Popen[str]", parent: int) -> None:
    """Close the pipes and wait, in the process that began it."""
    if os.getpid() == parent:
        with child:
            pass


def _answer() -> None:
    """Read the model of each folder that is named on standard input; tell what was wrong."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print to it
    for line in sys.stdin:
        answer = ""
        try:
            load_model(Path(json.loads(line)), None)
        except CryptoPoolError as fault:
            answer = f"failed: {fault}"
        print(json.dumps(answer), file=answers, flush=True)


def read_files(folder: Path, expected_hashes: Mapping[str, str] | None) -> dict[str, bytes]:
    """Read a folder of a calibration and at most one estimator, and nothing else; compare hashes.

    Raises:
        ModelUnavailable: there is no such folder.
        UntrustedModel: it holds other files, or others than were logged.
    """
    if not folder.is_dir():
        raise ModelUnavailable(f"No model folder at {folder}.")
    names = {
        path.name if path.is_file() and os.access(path, os.R_OK) else f"{path.name} (unreadable)"
        for path in folder.iterdir()
    }
    beside = names - {CALIBRATION_FILE}
    if CALIBRATION_FILE not in names or len(beside) > 1 or not beside <= {*ESTIMATOR_FILES}:
        raise UntrustedModel(
            f"{folder} must hold {CALIBRATION_FILE} and one estimator file in a known format, "
            f"but holds: {', '.join(sorted(names)) or 'nothing'}."
        )
    contents = {name: (folder / name).read_bytes() for name in sorted(names)}
    actual = hashes_of(contents)
    expected = actual if expected_hashes is None else expected_hashes
    changed = [
        name for name in sorted({*actual, *expected}) if actual.get(name) != expected.get(name)
    ]
    if changed:
        raise UntrustedModel(
            f"{folder}: {', '.join(changed)} is not what was logged (SHA-256 differs)."
        )
    return contents


def signature_of(model: ServedModel) -> Any:
    """Return the MLflow signature: the features and both logits, then the served probability."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    inputs = [ColSpec("double", name) for name in (*model.feature_names, REFERENCE_LOGIT)]
    inputs.append(ColSpec("double", PANEL_LOGIT, required=False))
    outputs = Schema([TensorSpec(np.dtype("float64"), (-1,))])
    return ModelSignature(inputs=Schema(inputs), outputs=outputs)


def _read_estimator(algorithm: str, form: str, contents: Mapping[str, bytes]) -> Any:
    if form == "none":
        return None
    if form in NATIVE_FORMATS:
        return NATIVE_FORMATS[form].read(contents[NATIVE_FORMATS[form].file])
    return skops_files.loads(contents[SKOPS_FILE], CANDIDATES[algorithm].trusted_types)


def _read_description(folder: Path, contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Parse `calibration.json` and check it against the table of candidates."""
    try:
        description = json.loads(contents[CALIBRATION_FILE])
        algorithm, form = str(description["algorithm"]), str(description["format"])
        complete = {"calibration", "feature_names"} <= description.keys()
        anchor = description.get("anchor", REFERENCE_LOGIT)
    except (ValueError, KeyError, TypeError) as fault:
        raise UntrustedModel(f"{folder}: {CALIBRATION_FILE} is malformed ({fault}).") from fault
    if not complete or anchor not in (REFERENCE_LOGIT, PANEL_LOGIT):
        raise UntrustedModel(f"{folder}: {CALIBRATION_FILE} is incomplete.")
    if algorithm not in {*CANDIDATES, *BASELINES}:
        loaded_extensions().load()  # whoever reads models alone has loaded none
    if algorithm not in {*CANDIDATES, *BASELINES}:
        raise UntrustedModel(f"{folder}: unknown algorithm {algorithm!r}.")
    files = {"none": ""} if algorithm in BASELINES else {"skops": SKOPS_FILE}
    files |= {key: one.file for key, one in NATIVE_FORMATS.items() if one.algorithm == algorithm}
    if form not in files or contents.keys() != {CALIBRATION_FILE, files[form]} - {""}:
        raise UntrustedModel(f"{folder}: {algorithm} is not stored as {form!r}.")
    return dict(description)


if __name__ == "__main__":
    Extensions(tuple(sys.argv[2:]), sys.argv[1]).load()
    _answer()
