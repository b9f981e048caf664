"""Files that a process holds for as long as it lives, however it ends.

The system lets go of them, so whether a process is gone is seen from any container on the same
disk, whatever its host is called.
"""

from pathlib import Path

from filelock import FileLock, Timeout

from crypto_pool.adapters.unfinished_files import make_folder


def hold(path: Path) -> FileLock | None:
    """Hold a file, made if it is not there; None if another process, or this one, does."""
    make_folder(path.parent)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


def is_held(path: Path) -> bool:
    """Whether a process holds a file."""
    lock = hold(path) if path.exists() else None
    if lock is not None:
        lock.release()
    return lock is None and path.exists()
