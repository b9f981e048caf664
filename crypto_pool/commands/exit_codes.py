"""What a command's exit code says of the cause; docs/operating.md shows what each means."""

import errno
import sqlite3

from crypto_pool.errors import CryptoPoolError, ExitCode

_DISK_FAULTS = {
    *(errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EROFS, errno.EDQUOT),
    *(errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE),
}


def exit_code(error: BaseException) -> ExitCode:
    """Return the code of an error that ended a command."""
    if isinstance(error, CryptoPoolError):
        return error.exit_code
    if isinstance(error, OSError) and error.errno in _DISK_FAULTS:
        return ExitCode.STORAGE
    return ExitCode.STORAGE if is_damaged_database(error) else ExitCode.DEFECT


def is_damaged_database(error: BaseException | None) -> bool:
    """Return whether SQLite could not read a file, which libraries wrap in errors of their own."""
    while error is not None and type(error) is not sqlite3.DatabaseError:
        error = error.__cause__ or error.__context__
    return error is not None
