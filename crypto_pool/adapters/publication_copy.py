"""A copy of the published DuckDB file where other machines read it, such as an object store."""

from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from crypto_pool.adapters.prediction_tables import LINK_NAME
from crypto_pool.adapters.unfinished_files import replacing
from crypto_pool.domain.addresses import without_credentials
from crypto_pool.errors import StoreUnavailable


def copy_publication(publication: Path, root: str) -> str:
    """Put a publication below `root` in place of the one before; return where it is.

    A reader there has the old file or the new one: an object store shows an object when it is
    complete, and in a folder it is renamed.

    Raises:
        StoreUnavailable: the file could not be put there; the copy before stays.
    """
    address = f"{root.rstrip('/')}/{LINK_NAME}"
    shown = without_credentials(address)
    try:
        files, path = fsspec.core.url_to_fs(address)
        if isinstance(files, LocalFileSystem):
            with replacing(Path(path)) as beside:
                files.put_file(str(publication), str(beside))
        else:
            files.put_file(str(publication), path)
    except Exception as fault:  # each store has its own exceptions
        raise StoreUnavailable(
            f"{publication.name} could not be copied to {shown}: {fault}; the copy before stays. "
            "Check CRYPTO_POOL_PUBLICATION_ROOT and the store's credentials, then publish again"
        ) from None
    return shown
