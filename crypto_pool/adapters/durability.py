"""What is to outlive a power cut, brought to the disk: files, and the folders that name them."""

import os
from contextlib import suppress
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, so that a power cut leaves them."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def sync_tree(folder: Path) -> None:
    """Bring a folder with all that is in it to the disk, and every folder above it."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)
    for above in folder.parents:
        with suppress(PermissionError):  # no new one
            sync(above)


def sync(path: Path) -> None:
    """Bring a file's content, or a folder's names, to the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
