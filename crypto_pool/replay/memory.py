"""A pool's store and registry for one process: frames and versions in memory, fits in a folder."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pyarrow as pa

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.artifact import load_model, model_files
from crypto_pool.adapters.mlflow.recording import write_files
from crypto_pool.adapters.mlflow.runs import Runs
from crypto_pool.adapters.mlflow.version import REGISTERED_AT_TAG, Version
from crypto_pool.adapters.mlflow.versions import Versions
from crypto_pool.domain.columns import Table
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.served_model import ServedModel
from crypto_pool.errors import CorruptPartition, MissingPartition, ModelUnavailable

_MODEL, _EVALUATION, _FIGURES = "model", "evaluation.parquet", "candidate.json"
_STORED = ("algorithm", "decision_threshold", "metrics", "member_name", "data_hash", "code_version")
_DAYS = ("trained_through", "chosen_through", "as_of")


class MemoryStore(FrameStore):
    """Frames in memory, read back as a file would give them."""

    def __init__(self) -> None:
        super().__init__(f"memory://{uuid4().hex}")
        self._tables: dict[str, dict[str, pa.Table]] = defaultdict(dict)
        self._written = count()
        self._marks: dict[str, dict[str, str]] = defaultdict(dict)

    def write(self, table: str, key: str, frame: pd.DataFrame) -> str:
        """Replace a partition as a whole."""
        self._tables[table][key] = pa.Table.from_pandas(frame)
        self._marks[table][key] = str(next(self._written))
        return self.path(table, key)

    def share(self, tables: Iterable[str], other: "MemoryStore") -> None:
        """Have some tables in common with another store."""
        for table in tables:
            self._tables[table], self._marks[table] = other._tables[table], other._marks[table]

    def count(self, table: str, key: str) -> int:
        """Return how many rows a partition has, 0 without any."""
        return len(self._tables[table].get(key, ()))

    def write_rows(self, table: Table, key: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replace a partition by rows that this process has made, and nobody checks."""
        self.write(table.store_name, key, table.unchecked_frame(rows))

    def remove(self, table: str, key: str) -> None:
        """Take a partition away; raises MissingPartition if there is none."""
        self._read_table(table, key)
        del self._tables[table][key]

    def exists(self, table: str, key: str) -> bool:
        """Whether the partition has been written."""
        return key in self._tables[table]

    def keys(self, table: str, prefix: str = "") -> list[str]:
        """Sorted keys of a table's partitions that begin so."""
        return sorted(key for key in self._tables[table] if key.startswith(prefix))

    def marks(self, table: str, prefix: str = "") -> dict[str, str]:
        """Return by key the number of a partition's writing."""
        return {key: self._marks[table][key] for key in self.keys(table, prefix)}

    def read_kept(self, table: str) -> tuple[pd.DataFrame, dict[str, CorruptPartition]]:
        """Read as `read_sound` does, for nothing lies outside the memory."""
        return self.read_sound(table)

    @contextmanager
    def lock(self, table: str, key: str) -> Iterator[None]:
        """Hold a partition alone, which one process always does."""
        yield

    def _read_table(self, table: str, key: str) -> pa.Table:
        if key not in self._tables[table]:
            raise MissingPartition(f"{self.path(table, key)} does not exist")
        return self._tables[table][key]


class FolderRuns(Runs):
    """The candidates of one recipe in a folder, by member, data and algorithm.

    A run is written beside and renamed, so that a replay that was killed finds whole fits alone.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe

    def log(
        self,
        candidate: TrainedCandidate,
        training_key: str,
        dagster_run_id: str,
        parent_run_id: str | None = None,
        **_: Any,
    ) -> TrainedCandidate:
        """Store a candidate, with its model if it has one."""
        name = f"{candidate.algorithm}-{training_key[:16]}"
        run_id = f"{candidate.member_name}/{candidate.data_hash[:16]}/{name}"
        whole = self.folder / run_id
        whole.parent.mkdir(parents=True, exist_ok=True)
        figures = {
            **{field: getattr(candidate, field) for field in _STORED},
            **{name: f"{getattr(candidate, name):%Y-%m-%d}" for name in _DAYS},
        }
        with tempfile.TemporaryDirectory(dir=self.folder) as beside:
            made = Path(beside) / name
            made.mkdir()
            if candidate.model is not None:
                (made / _MODEL).mkdir()
                write_files(model_files(candidate.model), str(made / _MODEL))
            candidate.evaluation.to_parquet(made / _EVALUATION)
            (made / _FIGURES).write_text(json.dumps(figures, default=float), "utf-8")
            if not whole.exists():
                made.rename(whole)
            elif candidate.model is not None and not self.has_model(run_id):
                (made / _MODEL).rename(whole / _MODEL)
        return replace(candidate, run_id=run_id, model=None)

    def get(self, run_id: str) -> TrainedCandidate:
        """Return a candidate, its model left where it is."""
        return _stored_candidate(self.folder, run_id, self.recipe)

    def find(self, member_name: str, training_key: str) -> TrainedCandidate | None:
        """Return the candidate of a training, None if it is not stored."""
        paths = self.folder.glob(f"{member_name}/*/*-{training_key[:16]}")
        return next((self.get(self._id(path)) for path in paths), None)

    def latest(
        self, member_name: str, data_hash: str, recipe: Recipe, code_version: str
    ) -> dict[str, TrainedCandidate]:
        """Return the candidates on these data by algorithm, which are of one recipe and code."""
        paths = sorted(self.folder.glob(f"{member_name}/{data_hash[:16]}/*"))
        candidates = [self.get(self._id(path)) for path in paths]
        return {one.algorithm: one for one in candidates}

    def load_model(self, run_id: str, title: str = "") -> ServedModel:
        """Load the model of a run; raises ModelUnavailable."""
        return load_model(self.folder / run_id / _MODEL, None)

    def has_model(self, run_id: str) -> bool:
        """Whether a run's model is stored."""
        return (self.folder / run_id / _MODEL).exists()

    def _id(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


@lru_cache(maxsize=1024)
def _stored_candidate(root: Path, run_id: str, recipe: Recipe) -> TrainedCandidate:
    folder = root / run_id
    stored = json.loads((folder / _FIGURES).read_text("utf-8"))
    trained, chosen, as_of = (stored.pop(name) for name in _DAYS)
    return TrainedCandidate(
        **stored,
        trained_through=pd.Timestamp(trained),
        chosen_through=pd.Timestamp(chosen),
        as_of=date.fromisoformat(as_of),
        evaluation=pd.read_parquet(folder / _EVALUATION),
        recipe=recipe,
        run_id=run_id,
    )


class MemoryVersions(Versions):
    """Registered versions and aliases in memory."""

    def __init__(self, runs: FolderRuns) -> None:
        self._runs = runs
        self._versions: dict[str, list[Version]] = defaultdict(list)
        self._load = lru_cache(maxsize=256)(runs.load_model)

    def register(
        self,
        member_name: str,
        candidate: TrainedCandidate,
        tags: Mapping[str, str],
        given_before: int = 0,
    ) -> str:
        """Register the model of a candidate, or find the version it has."""
        known = self.of_run(member_name, candidate.run_id)
        if known is None:
            known = Version(
                member_name=member_name,
                version=str(max(given_before, len(self._versions[member_name])) + 1),
                run_id=candidate.run_id,
                tags={name: str(value) for name, value in tags.items()},
                registered_at_utc=datetime.fromisoformat(tags[REGISTERED_AT_TAG]),
                location=candidate.run_id,
            )
            self._versions[member_name].append(known)
        return known.version

    def reach_disk(self, version: Version) -> None:
        """Bring a version to the disk, where nothing of it lies."""

    def get(self, member_name: str, version: str) -> Version:
        """Return a registered version; raises ModelUnavailable."""
        for known in self._versions[member_name]:
            if known.version == str(version):
                return known
        raise ModelUnavailable(f"{member_name} has no version {version}")

    def get_all(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Version]:
        """Return those of many registered versions that there are."""
        there = ((name, one) for name, _ in wanted for one in self._versions[name])
        return {(name, one.version): one for name, one in there}

    def of_run(self, member_name: str, run_id: str) -> Version | None:
        """Return the version registered for a run, if there is one."""
        return next((one for one in self._versions[member_name] if one.run_id == run_id), None)

    def lacks_model(self, member_name: str, run_id: str) -> bool:
        """Whether a run has a version whose model is not stored."""
        return self.of_run(member_name, run_id) is not None and not self._runs.has_model(run_id)

    def load(
        self, member_name: str, version: str, known_hashes: Mapping[str, str] | None = None
    ) -> ServedModel:
        """Load a registered version."""
        return self._load(self.get(member_name, version).run_id)

    def set_aliases(self, member_name: str, wanted: Mapping[str, str | None]) -> None:
        """Leave it: nobody asks a memory for aliases, which follow the ledger."""


class MemoryRegistry(ModelRegistry):
    """The runs and versions of a replay; a worker process that is sent it stores runs alone."""

    runs: FolderRuns
    versions: MemoryVersions

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.runs = FolderRuns(folder, recipe)
        self.versions = MemoryVersions(self.runs)

    def __reduce__(self) -> tuple[type["MemoryRegistry"], tuple[Path, Recipe]]:
        """Return what a copy is made of."""
        return MemoryRegistry, (self.runs.folder, self.runs.recipe)
