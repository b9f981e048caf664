"""A served model as two files: the estimator in its own format, and `calibration.json`.

Nothing is deserialised before the folder holds exactly the expected files, their hashes
(kept outside the folder) agree, and every type inside is one this project vouches for.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crypto_pool.adapters.model_formats import FORMATS, FloatArray
from crypto_pool.domain.calibration import calibration_from_dict
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.training import REFERENCE_LOGIT
from crypto_pool.errors import CryptoPoolError, ModelUnavailable, UntrustedModel

CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True)
class LoadedModel:
    """A fitted estimator with the calibration that turns its score into what is served."""

    algorithm: str
    estimator: Any
    calibration: Any
    feature_names: tuple[str, ...]
    classes: tuple[float, ...]

    def predict_probability(self, frame: pd.DataFrame) -> FloatArray:
        """Give the served probability for rows of the features and `reference_logit`."""
        raw = self.predict_raw(frame)
        logit = frame[REFERENCE_LOGIT].to_numpy(dtype=np.float64)
        return np.asarray(self.calibration.apply(raw, logit), dtype=np.float64)

    def predict_raw(self, frame: pd.DataFrame) -> FloatArray:
        """Give the estimator's own probability of class 1, before calibration."""
        features = frame.loc[:, list(self.feature_names)].astype(np.float64)
        named = getattr(self.estimator, "feature_names_in_", None) is not None
        answer = self.estimator.predict_proba(features if named else features.to_numpy())
        return np.asarray(answer, dtype=np.float64)[:, self.classes.index(1.0)]


def save_model(
    estimator: Any,
    calibration: Any,
    algorithm: str,
    feature_names: Sequence[str],
    folder: Path,
) -> dict[str, str]:
    """Write the two files of a model into `folder`; return the SHA-256 of each by name."""
    form = CANDIDATES[algorithm].artifact_format
    description = {
        "algorithm": algorithm,
        "format": form,
        "calibration": calibration.to_dict(),
        "feature_names": list(feature_names),
        "classes": [float(label) for label in estimator.classes_],
    }
    contents = {
        _estimator_file(form): FORMATS[form].write(estimator),
        CALIBRATION_FILE: json.dumps(description, indent=2, sort_keys=True).encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return {name: _sha256(data) for name, data in contents.items()}


def load_model(folder: Path, expected_hashes: Mapping[str, str] | None) -> LoadedModel:
    """Read a model back, or say what makes it untrustworthy."""
    contents = _read_files(folder)
    if expected_hashes is not None:
        _check_hashes(folder, contents, expected_hashes)
    description = _read_description(folder, contents)
    candidate = CANDIDATES[description["algorithm"]]
    classes = tuple(float(label) for label in description["classes"])
    data = contents[_estimator_file(candidate.artifact_format)]
    try:
        estimator = FORMATS[candidate.artifact_format].read(data, candidate.trusted_types, classes)
        calibration = calibration_from_dict(description["calibration"])
    except CryptoPoolError as fault:
        raise UntrustedModel(f"{folder}: {fault}") from fault
    except Exception as fault:
        raise UntrustedModel(
            f"{folder}: the {candidate.artifact_format} file of {description['algorithm']} "
            f"cannot be read ({fault}); train and log the model again."
        ) from fault
    names = tuple(str(name) for name in description["feature_names"])
    return LoadedModel(description["algorithm"], estimator, calibration, names, classes)


def load_named_model(
    folder: Path, expected_hashes: Mapping[str, str], title: str, stored_at: str
) -> LoadedModel:
    """Read a model, or say which one it is and where it is stored, not where it was copied to."""
    try:
        return load_model(folder, expected_hashes)
    except (ModelUnavailable, UntrustedModel) as fault:
        said = str(fault).replace(str(folder), stored_at)
        raise type(fault)(f"{title}: {said}") from fault


def _read_files(folder: Path) -> dict[str, bytes]:
    """Read a folder that holds a calibration and one estimator file, and nothing else."""
    if not folder.is_dir():
        raise ModelUnavailable(f"No model folder at {folder}.")
    names = {path.name for path in folder.iterdir()}
    pairs = [{CALIBRATION_FILE, _estimator_file(form)} for form in FORMATS]
    if names not in pairs:
        raise UntrustedModel(
            f"{folder} must hold {CALIBRATION_FILE} and one estimator file in a known format, "
            f"but holds: {', '.join(sorted(names)) or 'nothing'}."
        )
    return {name: (folder / name).read_bytes() for name in sorted(names)}


def _check_hashes(
    folder: Path, contents: Mapping[str, bytes], expected_hashes: Mapping[str, str]
) -> None:
    actual = {name: _sha256(data) for name, data in contents.items()}
    changed = sorted(
        name
        for name in actual.keys() | expected_hashes.keys()
        if actual.get(name) != expected_hashes.get(name)
    )
    if changed:
        raise UntrustedModel(
            f"{folder}: {', '.join(changed)} is not what was logged (SHA-256 differs)."
        )


def _read_description(folder: Path, contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Parse `calibration.json` and check it against the table of candidates."""
    try:
        description = json.loads(contents[CALIBRATION_FILE])
        algorithm, form = str(description["algorithm"]), description["format"]
        complete = {"calibration", "feature_names"} <= description.keys()
        binary = sorted(map(float, description["classes"])) == [0.0, 1.0]
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise UntrustedModel(f"{folder}: {CALIBRATION_FILE} is malformed ({fault}).") from fault
    if not (complete and binary):
        raise UntrustedModel(f"{folder}: {CALIBRATION_FILE} is incomplete.")
    if algorithm not in CANDIDATES:
        raise UntrustedModel(f"{folder}: unknown algorithm {algorithm!r}.")
    if form != CANDIDATES[algorithm].artifact_format or _estimator_file(form) not in contents:
        raise UntrustedModel(f"{folder}: {algorithm} is not stored as {form!r}.")
    return dict(description)


def _estimator_file(form: str) -> str:
    return f"estimator.{FORMATS[form].suffix}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
