"""Names of files that are still being written, and the removal of those nobody will finish."""

import os
import socket
import uuid
from pathlib import Path

_MARK = ".unfinished-"


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
        if writer.isdigit() and not _is_alive(int(writer)):
            path.unlink(missing_ok=True)


def _machine_mark() -> str:
    return f"{_MARK}{socket.gethostname()}."


def _is_alive(process_id: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
