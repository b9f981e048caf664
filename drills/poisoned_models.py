"""Stored models that are not what was logged: each must be refused before it is deserialised.

Every poison leaves a mark on the disk if a byte of it is ever brought to life.
"""

import hashlib
import io
import json
import os
import pickle
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

MEMBER = "BTC_uptrend"
FEATURES = tuple(f"feature_{number}" for number in range(19))
ALGORITHMS = ("RidgeClassifier", "XGBoost", "LightGBM")
FOREIGN_MODULE = "poisonous_types"


class Mark:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


@dataclass(frozen=True)
class Target:
    """A logged model: its folder, and the record that vouches for it."""

    run_id: str
    folder: Path

    @property
    def estimator(self) -> Path:
        """The estimator's file."""
        return next(path for path in self.folder.iterdir() if path.stem == "estimator")


def run() -> dict[str, Any]:
    """Attack logged models; give how many attacks were refused, and how many came to life."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        registry, targets = _log_models(folder)
        mark = folder / "came-to-life"
        refused: list[str] = []
        let_in: list[str] = []
        with _foreign_types(folder, mark) as foreign:
            for attack, target, knows_hashes in _attacks(targets, mark, foreign):
                title = f"{attack}, hashes {'forged' if knows_hashes else 'as logged'}"
                (refused if _is_refused(registry, target, knows_hashes) else let_in).append(title)
                if mark.exists():
                    let_in.append(f"{title}: came to life")
                    mark.rmdir()
        untouched = registry.runs.load_model(targets["untouched"].run_id)
        return {
            "attacks": len(refused) + len(let_in),
            "refused": len(refused),
            "let_in": let_in,
            "mark_works": _comes_to_life(mark),
            "untouched_model_loads": untouched.algorithm == ALGORITHMS[0],
        }


def _log_models(folder: Path) -> tuple[Any, dict[str, Target]]:
    from crypto_pool.adapters.mlflow import ModelRegistry
    from crypto_pool.adapters.mlflow.store import local_path
    from crypto_pool.domain.calibrations import IdentityCalibration
    from crypto_pool.domain.candidates import CANDIDATES, ClassBalance
    from crypto_pool.domain.fitting import TrainedCandidate
    from crypto_pool.domain.served_model import ServedModel

    registry = ModelRegistry(f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"))
    registry.prepare()
    generator = np.random.default_rng(5)
    rows = pd.DataFrame(generator.normal(size=(200, len(FEATURES))), columns=list(FEATURES))
    labels = generator.integers(0, 2, 200)
    targets = {}
    for name, algorithm in [*((a, a) for a in ALGORITHMS), ("untouched", ALGORITHMS[0])]:
        estimator = CANDIDATES[algorithm].build(ClassBalance.of(labels), 7).fit(rows, labels)
        model = ServedModel(algorithm, IdentityCalibration(), FEATURES, estimator)
        day = pd.Timestamp("2024-01-01")
        evaluation = pd.DataFrame({"label": [1], "baseline_probability": [0.5]}, index=[day])
        fit = TrainedCandidate(
            algorithm, 0.5, day, day, {}, evaluation, model=model,
            member_name=MEMBER, as_of=day.date(), data_hash="d", code_version="c",
        )  # fmt: skip
        record = registry.runs.log(fit, name, "r")
        tags = registry.client.get_run(record.run_id).data.tags
        logged = registry.client.get_logged_model(tags["model_uri"].removeprefix("models:/"))
        artifacts = local_path(str(logged.artifact_location))
        assert artifacts is not None
        targets[name] = Target(record.run_id, artifacts / "artifacts")
    return registry, targets


@contextmanager
def _foreign_types(folder: Path, mark: Path) -> Iterator[bytes]:
    """Give a skops file with a type whose module leaves the mark when it is imported."""
    import skops.io

    module = folder / f"{FOREIGN_MODULE}.py"
    module.write_text("class Poison:\n    value = 1\n")
    sys.path.insert(0, str(folder))
    try:
        content = bytes(skops.io.dumps(import_module(FOREIGN_MODULE).Poison()))
        del sys.modules[FOREIGN_MODULE]
        module.write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Poison:\n    pass\n")
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        yield content
    finally:
        sys.path.remove(str(folder))


def _attacks(
    targets: dict[str, Target], mark: Path, foreign: bytes
) -> Iterator[tuple[str, Target, bool]]:
    """Poison one model after the other, each put right again before the next."""
    poison = pickle.dumps(Mark(mark))
    ridge, booster = targets[ALGORITHMS[0]], targets[ALGORITHMS[1]]
    contents: list[tuple[str, Target, bytes]] = [
        *((f"pickle as {name}", targets[name], poison) for name in ALGORITHMS),
        ("pickle in a zip", ridge, _archive({"schema.json": b"{}", "model.pkl": poison})),
        ("foreign skops type", ridge, foreign),
        ("another model's file", ridge, targets["untouched"].estimator.read_bytes() + b"\n"),
        ("truncated file", booster, booster.estimator.read_bytes()[:100]),
    ]
    for title, target, content in contents:
        for knows_hashes in (False, True):
            # A file that is a model of the right kind is told from the logged one by its hash.
            if title == "another model's file" and knows_hashes:
                continue
            with _changed(target.estimator, content):
                yield title, target, knows_hashes
    with _changed(ridge.folder / "model.pkl", poison):
        yield "pickle beside the model", ridge, False
    swapped = json.loads((ridge.folder / "calibration.json").read_text())
    swapped["algorithm"] = "NeuralNet"
    with _changed(ridge.folder / "calibration.json", json.dumps(swapped).encode()):
        yield "another algorithm's name", ridge, True
    lambda_layer = {"class_name": "Lambda", "module": "keras.layers", "config": {}}
    config = {"class_name": "Sequential", "config": {"layers": [lambda_layer]}}
    with _keras_in_place(ridge, _archive({"config.json": json.dumps(config).encode()})):
        yield "Keras Lambda layer", ridge, True


@contextmanager
def _changed(path: Path, content: bytes) -> Iterator[None]:
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    try:
        yield
    finally:
        path.unlink()
        if before is not None:
            path.write_bytes(before)


@contextmanager
def _keras_in_place(target: Target, archive: bytes) -> Iterator[None]:
    """Put a whole other model into the folder, consistent in itself."""
    description = json.loads((target.folder / "calibration.json").read_text())
    description |= {"algorithm": "NeuralNet", "format": "keras"}
    own, aside = target.estimator, target.folder.parent / "aside"
    shutil.move(own, aside)
    try:
        with (
            _changed(target.folder / "calibration.json", json.dumps(description).encode()),
            _changed(target.folder / "estimator.keras", archive),
        ):
            yield
    finally:
        shutil.move(aside, own)


def _archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _is_refused(registry: Any, target: Target, knows_hashes: bool) -> bool:
    """Load as the pool does; with forged hashes, as if the attacker could write those too."""
    from crypto_pool.adapters.mlflow.artifact import load_model
    from crypto_pool.errors import UntrustedModel

    try:
        if knows_hashes:
            hashes = {p.name: _sha256(p.read_bytes()) for p in target.folder.iterdir()}
            load_model(target.folder, hashes)
        else:
            registry.runs.load_model(target.run_id)
    except UntrustedModel as fault:
        return str(target.folder) in str(fault)
    return False


def _comes_to_life(mark: Path) -> bool:
    """Whether the poison works where nobody refuses it."""
    pickle.loads(pickle.dumps(Mark(mark)))  # noqa: S301
    return mark.exists()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
