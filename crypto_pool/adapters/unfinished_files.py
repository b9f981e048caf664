"""Files that are written beside and renamed, and the removal of those nobody will finish."""

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from crypto_pool.adapters.durability import make_folder, sync

_MARK = ".unfinished-"


@contextmanager
def replacing(path: Path, *, unless_there: bool = False) -> Iterator[Path]:
    """Give a hidden path beside `path` to write; once that is on the disk it becomes `path`.

    A reader sees the old file or the whole new one, after a power cut too; after an error the
    old one stays. `unless_there` keeps a file that is there: of many writers one wins. What the
    disk refuses is told of `path`.
    """
    beside = name_unfinished(path)
    try:
        make_folder(path.parent)
        remove_abandoned(path.parent, path.name)
        yield beside
        if not beside.is_symlink():
            sync(beside)
        if unless_there:
            with suppress(FileExistsError):
                os.link(beside, path)
        else:
            os.replace(beside, path)
        sync(path.parent)
    except OSError as fault:
        if fault.filename is None:  # as when the disk is full
            raise OSError(fault.errno, fault.strerror, str(path)) from fault
        raise
    finally:
        for leftover in (beside, beside.with_name(f"{beside.name}.wal")):
            leftover.unlink(missing_ok=True)


def name_unfinished(path: Path) -> Path:
    """Name a hidden file beside `path` that says which process writes it."""
    return path.with_name(f".{path.name}{_machine_mark()}{os.getpid()}.{uuid.uuid4().hex}.tmp")


def remove_abandoned(folder: Path, name: str | None = None) -> None:
    """Remove what processes of this machine that no longer live left in the folder.

    Only what was to become the file called `name`, if one is given. Another
    machine's files are left alone: whether their writers live cannot be known here.
    """
    for path in folder.iterdir():
        wanted, mark, rest = path.name.partition(_machine_mark())
        if not mark or (name is not None and wanted != f".{name}"):
            continue
        writer = rest.partition(".")[0]
        if writer.isdigit() and not psutil.pid_exists(int(writer)):
            path.unlink(missing_ok=True)


def _machine_mark() -> str:
    return f"{_MARK}{socket.gethostname()}."
