"""Files that outlive a power cut: written beside, brought to the disk and renamed."""

import errno
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MARK = ".unfinished-"


@contextmanager
def replacing(path: Path, *, unless_there: bool = False) -> Iterator[Path]:
    """Give a hidden path beside `path` to write; once that is on the disk it becomes `path`.

    A reader sees the old file or the whole new one, after a power cut too; after an error the
    old one stays. `unless_there` keeps a file that is there: of many writers one wins. What the
    disk refuses is told of `path`.
    """
    beside = name_unfinished(path)
    make_folder(path.parent)
    remove_abandoned(path.parent)
    try:
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
        if fault.filename in (None, str(beside)):  # the first as when the disk is full
            raise _told_of(path, fault) from fault
        raise
    finally:
        for leftover in (beside, beside.with_name(f"{beside.name}.wal")):
            leftover.unlink(missing_ok=True)


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file as `replacing` does, in one piece."""
    with replacing(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


def name_unfinished(path: Path) -> Path:
    """Name a hidden file beside `path` that says which process writes it."""
    return path.with_name(f".{path.name}{_machine_mark()}{os.getpid()}.{uuid.uuid4().hex}.tmp")


def remove_abandoned(folder: Path) -> None:
    """Remove what processes of this machine that no longer live left in the folder.

    Another machine's files are left alone: whether their writers live cannot be known here.
    """
    import psutil

    for path in folder.iterdir():
        writer = path.name.partition(_machine_mark())[2].partition(".")[0]
        if writer.isdigit() and not psutil.pid_exists(int(writer)):
            path.unlink(missing_ok=True)


def _machine_mark() -> str:
    return f"{_MARK}{socket.gethostname()}."


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, so that a power cut leaves them.

    Raises:
        NotADirectoryError: a file is in the way, or the place takes no folders, as /proc does.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        try:
            folder.mkdir(exist_ok=True)
            sync(folder.parent)
        except OSError as fault:
            raise _told_of(folder, fault) from fault


def _told_of(path: Path, fault: OSError) -> OSError:
    """Return what the disk refused as an error about a path that was to be made."""
    if isinstance(fault, FileNotFoundError | FileExistsError):
        return NotADirectoryError(errno.ENOTDIR, "it cannot be made there", str(path))
    return OSError(fault.errno, fault.strerror, str(path))


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
