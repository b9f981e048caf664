"""Files below a root, which may be any of fsspec's.

Locally a file is written beside and renamed; on an object store it is one put. So a reader sees
the old file or the new one, never half of either.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from crypto_pool.adapters.unfinished_files import replacing
from crypto_pool.errors import StoreUnavailable


class StoredFiles:
    """Files by their names below the root.

    Every method raises StoreUnavailable for an object store that does not answer.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.is_local = False
        with self._answering(may_lack=False):
            self._files, path = fsspec.core.url_to_fs(root)
        self.path = str(path).rstrip("/")
        self.is_local = isinstance(self._files, LocalFileSystem)

    def at(self, name: str) -> str:
        """Return the full path of a name."""
        return f"{self.path}/{name}"

    def read(self, name: str) -> bytes:
        """Return the content of a file as it is now; raises FileNotFoundError."""
        self._files.invalidate_cache()
        with self._answering():
            return bytes(self._files.cat_file(self.at(name)))

    def put(self, name: str, content: bytes, *, unless_there: bool = False) -> None:
        """Write a file in place of the one before; a local one that is there may stay."""
        if not self.is_local:
            with self._answering(may_lack=False):
                self._files.pipe_file(self.at(name), content)
            return
        with replacing(Path(self.at(name)), unless_there=unless_there) as beside:
            beside.write_bytes(content)

    def remove(self, name: str) -> None:
        """Take a file away; raises FileNotFoundError."""
        with self._answering():
            self._files.rm_file(self.at(name))

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        self._files.invalidate_cache()
        with self._answering():
            return bool(self._files.exists(self.at(name)))

    def entries(self, folder: str, *, detail: bool) -> Iterator[Mapping[str, Any]]:
        """Yield what is known of each file of a folder, its `name` alone without `detail`."""
        self._files.invalidate_cache()
        try:
            with self._answering():
                listing = self._files.ls(self.at(folder), detail=detail)
        except FileNotFoundError:
            return
        yield from listing if detail else ({"name": name} for name in listing)

    @contextmanager
    def _answering(self, *, may_lack: bool = True) -> Iterator[None]:
        """Whatever fails at an object store is StoreUnavailable, but for a file it `may_lack`."""
        try:
            yield
        except Exception as fault:  # each object store has its own exceptions
            if self.is_local or (may_lack and isinstance(fault, FileNotFoundError)):
                raise
            raise StoreUnavailable(
                f"{self.root} does not answer or takes no files: {fault}; check "
                "CRYPTO_POOL_PARQUET_ROOT, that the bucket exists, and the store's address and "
                "credentials (for S3 AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
            ) from None
