"""How a run, its model and a registered version come into the store, whoever they are of.

By explicit ids: no active run, no global address.
"""

import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crypto_pool.adapters.mlflow.store import OWN_TAG, MlflowStore

if TYPE_CHECKING:
    import pandas as pd


ARTIFACTS, EXAMPLE_FILE = "artifacts", "input_example.json"
EXAMPLE = {"artifact_path": EXAMPLE_FILE, "type": "dataframe", "pandas_orient": "split"}


@dataclass(frozen=True)
class NewRun:
    """A run that is being written."""

    client: Any
    experiment: str
    run_id: str
    address: str

    def write_model(
        self,
        code: str,
        files: Mapping[str, bytes],
        signature: Any,
        packages: tuple[str, ...],
        example: "pd.DataFrame | None" = None,
    ) -> Any:
        """Log files, and the code beside this module that serves them, as the model of the run.

        `example` are rows as the model takes them.
        """
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model
        from mlflow.models.model import MLMODEL_FILE_NAME

        logged = self.client.create_logged_model(
            self.experiment, name="model", source_run_id=self.run_id, tags={OWN_TAG: "model"}
        )
        place, key = logged.artifact_location, logged.model_id
        try:
            flavors, beside = _saved_model(code, tuple(files), packages)
            described = Model(
                place,
                self.run_id,
                flavors=flavors,
                signature=signature,
                saved_input_example_info=None if example is None else EXAMPLE,
                model_size_bytes=sum(map(len, files.values())),
                model_uuid=key,
                model_id=key,
            )
            own = {f"{ARTIFACTS}/{name}": data for name, data in files.items()}
            # MLflow would load the model and ask it, for each that is logged.
            if example is not None:
                own[EXAMPLE_FILE] = example.to_json(orient="split", index=False).encode()
            own[MLMODEL_FILE_NAME] = described.to_yaml().encode()
            put_files(self.client, place, {**beside, **own})
            self.client.log_outputs(self.run_id, [LoggedModelOutput(key, step=0)])
            self.client.finalize_logged_model(key, "READY")
        except BaseException:
            self.client.finalize_logged_model(key, "FAILED")
            raise
        return logged

    def write_figures(
        self,
        metrics: Iterable[tuple[str, float, int]],
        parameters: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> None:
        """Write metrics, each with its step, parameters and tags in one go."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        self.client.log_batch(
            self.run_id,
            metrics=[Metric(name, float(value), now, step) for name, value, step in metrics],
            params=[Param(name, str(value)) for name, value in parameters.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )


@contextmanager
def new_run(
    store: MlflowStore, experiment: str, tags: Mapping[str, str], seconds: float = 0.0
) -> Iterator[NewRun]:
    """Give a new run to write, begun so long ago; it ends FINISHED, FAILED or KILLED."""
    client, place = store.client, store.experiment_id(experiment)
    began = int((time.time() - seconds) * 1000)
    made = client.create_run(place, began, dict(tags)).info
    run_id = str(made.run_id)
    try:
        yield NewRun(client, place, run_id, str(made.artifact_uri))
    except BaseException as fault:
        client.set_terminated(run_id, "FAILED" if isinstance(fault, Exception) else "KILLED")
        raise
    client.set_terminated(run_id, "FINISHED")


def put_files(client: Any, address: str, files: Mapping[str, bytes]) -> None:
    """Put files among the artifacts at an address, in place of those of the same name.

    To be told that, the client would read whose they are from the store, all of its figures.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    place = get_artifact_repository(address, tracking_uri=client.tracking_uri)
    if isinstance(place, LocalArtifactRepository):
        write_files(files, place.artifact_dir)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_files(files, folder)
        place.log_artifacts(folder)


def write_files(files: Mapping[str, bytes], folder: str) -> list[str]:
    """Write files into a folder, which is made if it is not there; return where they are."""
    for name, data in files.items():
        Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
        Path(folder, name).write_bytes(data)
    return [str(Path(folder, name)) for name in files]


def register_version(
    client: Any,
    name: str,
    logged: Any,
    tags: Mapping[str, str],
    words: str,
    model: Mapping[str, Any],
    given_before: int = 0,
) -> str:
    """Register a logged model as a version, in words; return its number.

    `model` are tags and description of the registered model, if it is not there yet; of one that
    was, so many numbers were `given_before`, which MLflow would begin anew.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, **model)
    except MlflowException as fault:
        if fault.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    else:
        for _ in range(given_before):
            lost = client.create_model_version(name, logged.artifact_location)
            client.delete_model_version(name, lost.version)
    made = client.create_model_version(
        name,
        logged.artifact_location,  # a `models:/` URI is looked up in MLflow's global store
        run_id=logged.source_run_id,
        tags=dict(tags),
        model_id=logged.model_id,
        description=words,
    )
    return str(made.version)


@cache
def _saved_model(
    code: str, names: tuple[str, ...], packages: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the flavors that MLflow gives a model of such files, and what it writes beside them.

    They are the same for all of a kind, and it takes long over them.
    """
    import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.models.model import MLMODEL_FILE_NAME
    from mlflow.types import ColSpec, Schema

    model = Model()
    some_signature = ModelSignature(Schema([ColSpec("double")]))  # without one it warns
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example was not provided.*")
        paths = write_files(dict.fromkeys(names, b""), folder)
        mlflow.pyfunc.save_model(
            path=Path(folder, "model"),
            python_model=str(Path(__file__).with_name(code)),
            artifacts={Path(path).stem: path for path in paths},
            mlflow_model=model,
            signature=some_signature,
            pip_requirements=_pins(packages),  # named, they spare MLflow its inference
        )
        written = [path for path in Path(folder, "model").iterdir() if path.is_file()]
        beside = {path.name: path.read_bytes() for path in written}
    del beside[MLMODEL_FILE_NAME]
    return model.flavors, beside


def _pins(packages: tuple[str, ...]) -> list[str]:
    """Pin packages as they are installed; one that is not here is another's name for the same."""
    pins = []
    for package in packages:
        with suppress(PackageNotFoundError):
            pins.append(f"{package}=={version(package)}")
    return pins
