"""What a command's exit code says of the cause; docs/operating.md shows this table."""

import errno

from crypto_pool.errors import CryptoPoolError, ExitCode

MEANING = {
    ExitCode.DONE: "done; that no candidate passed the gates is a result, not a failure",
    ExitCode.MEMBERS_FAILED: "some members failed and are listed, or `reproduce` differs",
    ExitCode.WRONG_INPUT: "an option, a setting, the SQL or a file of bars is wrong",
    ExitCode.PROVIDER: "the source gave usable bars of no coin; if it gave some coins, it is 1",
    ExitCode.STORAGE: "stored data is missing or unreadable, or the disk is full or not writable",
    ExitCode.MODEL: "no such champion or version, or its stored model is not to be trusted",
    ExitCode.DEFECT: "a defect of the pool itself; the trace is what to report",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C; the same command goes on where it stopped",
}
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
    return ExitCode.DEFECT
