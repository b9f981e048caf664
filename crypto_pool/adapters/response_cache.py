"""Raw answers of a provider, kept as received, so that none is paid for twice in a day.

An answer is one gzip file, `<UTC day>/<symbol>/<function>-<digest>.json.gz`: a first line
of JSON with time, parameters (never the key) and SHA-256, then the body byte for byte.
Old days stay, for audits and for rebuilding features.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock

from crypto_pool.adapters.unfinished_files import replace_file
from crypto_pool.errors import CorruptPartition


class ResponseCache:
    """Answers of one source, by UTC day and parameters."""

    def __init__(self, folder: Path, source: str, now: Callable[[], datetime]) -> None:
        self.folder = folder
        self.source = source
        self._now = now

    def exclusive(self, parameters: Mapping[str, str]) -> BaseFileLock:
        """Return what keeps every other process from asking for the same meanwhile."""
        locks = self.folder / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        return FileLock(locks / f"{self._digest(parameters)}.lock")

    def find(self, parameters: Mapping[str, str]) -> bytes | None:
        """The body of today's answer, if there is one and it is whole."""
        path = self.path(parameters)
        try:
            return read_answer(path)
        except FileNotFoundError:
            return None
        except CorruptPartition:
            # A damaged file is evidence, so it is kept beside; the answer is asked for again.
            os.replace(path, path.with_suffix(".damaged"))
            return None

    def keep(self, parameters: Mapping[str, str], body: bytes) -> Path:
        """Store a good answer; a reader sees all of it or nothing."""
        head = {
            "received_at_utc": self._now().astimezone(UTC).isoformat(),
            "source": self.source,
            "parameters": dict(parameters),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        path = self.path(parameters)
        replace_file(path, gzip.compress(json.dumps(head).encode() + b"\n" + body))
        return path

    def path(self, parameters: Mapping[str, str]) -> Path:
        """Where today's answer to these parameters lies."""
        day = self._now().astimezone(UTC).date().isoformat()
        name = f"{parameters['function']}-{self._digest(parameters)[:16]}.json.gz"
        return self.folder / day / parameters["symbol"] / name

    def _digest(self, parameters: Mapping[str, str]) -> str:
        identity = json.dumps([self.source, sorted(parameters.items())])
        return hashlib.sha256(identity.encode()).hexdigest()


def read_answer(path: Path) -> bytes:
    """Return the body of a stored answer; raises CorruptPartition if it is not what was received.

    The line before it says how it came.
    """
    try:
        head, _, body = gzip.decompress(path.read_bytes()).partition(b"\n")
        noted = json.loads(head)["sha256"]
    except (gzip.BadGzipFile, zlib.error, EOFError, ValueError, KeyError, TypeError) as fault:
        raise CorruptPartition(f"{path} is no stored answer ({fault}); delete it") from fault
    digest = hashlib.sha256(body).hexdigest()
    if digest != noted:
        raise CorruptPartition(f"{path}: SHA-256 is {digest}, noted {noted}; delete it")
    return body
