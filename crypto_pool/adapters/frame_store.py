"""Parquet files, one a partition, under any fsspec root; the source of truth.

A partition is `{root}/{table}/{key}.parquet`.
"""

import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from crypto_pool.adapters.stored_files import StoredFiles
from crypto_pool.adapters.stored_rows import marked, why_unfit
from crypto_pool.adapters.unfinished_files import make_folder
from crypto_pool.domain.addresses import without_credentials
from crypto_pool.domain.columns import Table
from crypto_pool.domain.tables import remedy
from crypto_pool.errors import (
    CorruptPartition,
    MissingPartition,
    ProviderMismatch,
)

_SUFFIX = ".parquet"
DERIVED = "derived"
"""The table of what follows from the others."""
_KEPT = ("kept of", "kept at")
_PROVENANCE = "provenance.json"
# What is known of a file without reading it; one that is replaced has another of them.
_MARKS = ("ETag", "etag", "LastModified", "last_modified", "updated", "mtime", "ino", "size")
_REMOTE_LOCKS = Path(tempfile.gettempdir()) / "crypto_pool_locks"


class FrameStore:
    """Frames by table and key; the whole store belongs to one source of bars.

    Every method raises StoreUnavailable for an object store that does not answer.
    """

    def __init__(self, root: str) -> None:
        self.root = str(root)
        self._files = StoredFiles(self.root)

    def path(self, table: str, key: str) -> str:
        """Full path of a partition; any key gives a safe and reversible file name."""
        return self._files.at(_name(table, key))

    def write(self, table: str, key: str, frame: pd.DataFrame) -> str:
        """Replace a partition as a whole; returns its path."""
        buffer = io.BytesIO()
        pq.write_table(marked(pa.Table.from_pandas(frame), table, key), buffer)
        self._files.put(_name(table, key), buffer.getvalue())
        return self.path(table, key)

    def write_rows(self, table: Table, key: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replace a partition by rows of its table; raises InvalidRows."""
        self.write(table.store_name, key, table.frame(rows))

    def put_rows(self, table: str, key: str, rows: pd.DataFrame, by: Iterable[str]) -> None:
        """Add rows to a partition, in place of those with the same values `by` some columns."""
        parts = {"added": pa.Table.from_pandas(rows)}
        with suppress(MissingPartition):
            parts = {"stored": self._read_table(table, key), **parts}
        joined = self._join(table, parts)
        kept = joined.drop_duplicates(list(by), keep="last", ignore_index=True)
        self.write(table, key, kept)

    def read(self, table: str, key: str) -> pd.DataFrame:
        """Return the frame as it was written, its index included.

        Raises MissingPartition or CorruptPartition.
        """
        frame: pd.DataFrame = self._read_table(table, key).to_pandas()
        return frame

    def find(self, table: str, key: str) -> pd.DataFrame | None:
        """Return a frame as `read` does, None where there is none; raises CorruptPartition."""
        try:
            return self.read(table, key)
        except MissingPartition:
            return None

    def remove(self, table: str, key: str) -> None:
        """Take a partition away; raises MissingPartition if there is none."""
        try:
            self._files.remove(_name(table, key))
        except FileNotFoundError as fault:
            raise MissingPartition(f"{self.path(table, key)} does not exist") from fault

    def exists(self, table: str, key: str) -> bool:
        """Whether the partition has been written."""
        return self._files.exists(_name(table, key))

    def keys(self, table: str, prefix: str = "") -> list[str]:
        """Sorted keys of a table's partitions that begin so; unfinished files are none."""
        return sorted(key for key, _ in self._list(table, prefix, detail=False))

    def marks(self, table: str, prefix: str = "") -> dict[str, str]:
        """Return by key what tells a partition, as it is now, from all it was; nothing is read."""
        return {
            key: "-".join(str(entry[name]) for name in _MARKS if name in entry)
            + ("" if "ino" in entry else str(entry.get("created")))
            for key, entry in self._list(table, prefix, detail=True)
        }

    def read_all(self, table: str, prefix: str = "") -> pd.DataFrame:
        """Return the partitions whose keys begin so one below the other, in the order of keys.

        Without partitions the frame is empty and has no columns. Joined in Arrow, where a column
        that is all null in one partition takes its type from the others.
        """
        keys = self.keys(table, prefix)
        return self._join(table, {key: self._read_table(table, key) for key in keys})

    def read_sound(
        self,
        table: str,
        key_column: str | None = None,
        prefix: str = "",
        keys: Iterable[str] | None = None,
    ) -> tuple[pd.DataFrame, dict[str, CorruptPartition]]:
        """Read as `read_all` does, without what is damaged; say by key why that cannot be read.

        Of all partitions, or of those with some keys; one that is gone by now has no rows.
        `key_column` adds the keys under that name.
        """
        parts, faults = self._read_each(table, self.keys(table, prefix) if keys is None else keys)
        return self._join(table, parts, key_column), faults

    def read_each(
        self, table: str, prefix: str = ""
    ) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
        """Return the frames whose keys begin so, by key, and why what is damaged cannot be read."""
        parts, faults = self._read_each(table, self.keys(table, prefix))
        frames = {key: part.to_pandas() for key, part in parts.items()}
        return frames, {key: f"CorruptPartition: {why}" for key, why in faults.items()}

    def read_kept(self, table: str) -> tuple[pd.DataFrame, dict[str, CorruptPartition]]:
        """Read as `read_sound` does, the files that are as they last were out of one beside them.

        That one may be thrown away.
        """
        marks, parts = self.marks(table), {}
        with suppress(MissingPartition, CorruptPartition, KeyError):  # lost, or none of ours
            kept = self._read_table(DERIVED, table)
            pairs = zip(*(kept[name].to_pylist() for name in _KEPT), strict=True)
            parts[""] = kept.filter(pa.array([marks.get(key) == mark for key, mark in pairs]))
        known = set(parts[""][_KEPT[0]].to_pylist()) if parts else set()
        read, faults = self._read_each(table, sorted(marks.keys() - known))
        for key, part in read.items():
            for name, value in zip(_KEPT, (key, marks[key]), strict=True):
                part = part.append_column(name, pa.array([value] * len(part), pa.string()))
            parts[key] = part
        frame = self._join(table, parts)
        if read:
            self.write(DERIVED, table, frame)
        if len(frame):
            frame = frame.sort_values(_KEPT[0], kind="stable", ignore_index=True)
        return frame.drop(columns=list(_KEPT), errors="ignore"), faults

    def look_through(self) -> Iterator[str]:
        """Yield of each partition why it cannot be read, or nothing, but for what is derived."""
        for entry in self._files.entries("", detail=True):
            table = str(entry["name"]).rstrip("/").rsplit("/", 1)[-1]
            if entry["type"] == "directory" and table != DERIVED:
                for key in self.keys(table):
                    yield str(self._read_each(table, [key])[1].get(key, ""))

    @contextmanager
    def lock(self, table: str, key: str) -> Iterator[None]:
        """Hold a partition alone among the processes of this machine, to read it and write it."""
        path, is_local = Path(self.path(table, key)), self._files.is_local
        folder = path.parent if is_local else _REMOTE_LOCKS
        make_folder(folder)
        with FileLock(folder / f".{path.name if is_local else quote(str(path), safe='%')}.lock"):
            yield

    def _read_each(
        self, table: str, keys: Iterable[str]
    ) -> tuple[dict[str, pa.Table], dict[str, CorruptPartition]]:
        """Read the partitions that are there, and say by key why one is damaged."""
        parts, faults = {}, {}
        for key in keys:
            with suppress(MissingPartition):
                try:
                    parts[key] = self._read_table(table, key)
                except CorruptPartition as fault:  # one partition never stops the others
                    faults[key] = fault
        return parts, faults

    def _join(
        self, table: str, parts: Mapping[str, pa.Table], key_column: str | None = None
    ) -> pd.DataFrame:
        if not parts:
            return pd.DataFrame()
        # Empty partitions may lack columns and types, so they say nothing beside full ones.
        filled = {key: part for key, part in parts.items() if part.num_rows}
        filled = filled or dict([next(iter(parts.items()))])
        try:
            joined = pa.concat_tables(list(filled.values()), promote_options="permissive")
        except pa.ArrowException as fault:
            raise CorruptPartition(
                f"the partitions of {self._files.at(table)} have columns of different types: "
                f"{fault}; restore them from a backup"
            ) from fault
        frame: pd.DataFrame = joined.to_pandas()
        if key_column is not None:
            keys = [key for key, part in filled.items() for _ in range(part.num_rows)]
            frame.insert(0, key_column, keys)
        return frame

    def claim(self, source: str) -> None:
        """Make the store belong to `source`.

        Raises:
            ProviderMismatch: it is another's.
            StoreUnavailable: it is an object store that does not answer or takes no files.
        """
        owner = self.source()
        if owner is None or without_credentials(owner) == source != owner:  # as it once was written
            self._files.put(_PROVENANCE, _provenance(source), unless_there=owner is None)
        self.require_source(source)

    def require_source(self, source: str) -> None:
        """Raise ProviderMismatch if the store belongs to another source."""
        owner = without_credentials(self.source() or source)
        if owner != source:
            raise ProviderMismatch(
                f"{self._files.path} holds bars from {owner!r}, and the provider now is "
                f"{source!r}; sources never mix: set CRYPTO_POOL_DATA_DIR to another folder, "
                "or CRYPTO_POOL_PROVIDER and its settings back to the first source"
            )

    def source(self) -> str | None:
        """Return the source the store belongs to, None while it is nobody's."""
        try:
            return str(json.loads(self._files.read(_PROVENANCE))["source"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as fault:
            raise CorruptPartition(
                f"{self._files.at(_PROVENANCE)} does not say where the bars came from ({fault!r}); "
                'write {"source": "..."} into it, or start with another CRYPTO_POOL_DATA_DIR'
            ) from fault

    def _read_table(self, table: str, key: str) -> pa.Table:
        path = self.path(table, key)
        try:
            content = self._files.read(_name(table, key))
        except FileNotFoundError as fault:
            raise MissingPartition(f"{path} does not exist; {remedy(table, key)}") from fault
        except (IsADirectoryError, PermissionError) as fault:
            raise CorruptPartition(
                f"{path} cannot be read: {fault}; mend its rights, or take it away, then "
                f"{remedy(table, key)}"
            ) from fault
        try:
            # Of small files `read_table` takes ten times as long, most of it by its threads.
            stored = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
            why = why_unfit(table, key, stored)
        except (pa.ArrowException, ValueError, OSError) as fault:
            raise CorruptPartition(
                f"{path} cannot be read as Parquet: {fault}; delete it, then {remedy(table, key)}"
            ) from fault
        if why:
            raise CorruptPartition(
                f"{path} is no file of {table}: {why}; delete it, then {remedy(table, key)}"
            )
        return stored

    def _list(
        self, table: str, prefix: str, *, detail: bool
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for details in self._files.entries(table, detail=detail):
            name = str(details["name"]).rstrip("/").rsplit("/", 1)[-1]
            key = unquote(name.removesuffix(_SUFFIX))
            if name.endswith(_SUFFIX) and not name.startswith(".") and key.startswith(prefix):
                yield key, details


def _provenance(source: str) -> bytes:
    return json.dumps({"source": source}).encode()


def _name(table: str, key: str) -> str:
    """Percent-encode a key; a leading dot too, since hidden files are unfinished ones."""
    name = quote(key, safe="")
    return f"{table}/{'%2E' + name[1:] if name.startswith('.') else name}{_SUFFIX}"
