"""What a command's exit code says of the cause; docs/operating.md shows what each means."""

import errno
import sqlite3

from crypto_pool.errors import CryptoPoolError, ExitCode

_DISK_FAULTS = {
    *(errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EROFS, errno.EDQUOT),
    *(errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE),
    *(errno.EFBIG, errno.EIO),
}
_SQLITE_FAULTS = (
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN),
    sqlite3.SQLITE_BUSY,
)


def exit_code(error: BaseException) -> ExitCode:
    """Return the code of an error that ended a command."""
    if isinstance(error, CryptoPoolError):
        return error.exit_code
    is_of_storage = is_damaged_database(error) or disk_fault(error) is not None
    return ExitCode.STORAGE if is_of_storage else ExitCode.DEFECT


def is_damaged_database(error: BaseException | None) -> bool:
    """Return whether SQLite could not read a file, which libraries wrap in errors of their own."""
    while error is not None and type(error) is not sqlite3.DatabaseError:
        error = error.__cause__ or error.__context__
    return error is not None


def disk_fault(error: BaseException | None) -> BaseException | None:
    """Return what a disk refused, by the system's word, SQLite's or that of `tempfile`."""
    while error is not None:
        is_refused = isinstance(error, OSError) and (
            error.errno in _DISK_FAULTS or "No usable temporary directory" in str(error)
        )
        if is_refused or _sqlite_code(error) in _SQLITE_FAULTS:
            return error
        error = error.__cause__
    return None


def way_out(fault: BaseException | None) -> str:
    """Say what is to be done about what a disk refused."""
    if _sqlite_code(fault) == sqlite3.SQLITE_BUSY:
        return "another program keeps a database of this home from being written: let it end"
    return "mend the path, its rights or its room"


def _sqlite_code(error: BaseException | None) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
