"""What a command's exit code says of the cause; docs/operating.md shows this table."""

import errno
from enum import IntEnum

from crypto_pool.errors import (
    BackupError,
    CorruptPartition,
    CryptoPoolError,
    IncompatibleData,
    InvalidBars,
    InvalidFeatures,
    MembersFailed,
    MissingFeatures,
    MissingPartition,
    ModelUnavailable,
    NothingPublished,
    ProviderError,
    StoreUnavailable,
    UnscoredCandidate,
    UntrustedModel,
)


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    MEMBERS_FAILED = 1
    WRONG_INPUT = 2
    PROVIDER = 3
    STORAGE = 4
    MODEL = 5
    DEFECT = 70
    INTERRUPTED = 130


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
# The nearest class among an error's ancestors decides.
_CODES: dict[type[CryptoPoolError], ExitCode] = {
    CryptoPoolError: ExitCode.WRONG_INPUT,
    MembersFailed: ExitCode.MEMBERS_FAILED,
    UnscoredCandidate: ExitCode.MEMBERS_FAILED,
    ProviderError: ExitCode.PROVIDER,
    MissingPartition: ExitCode.STORAGE,
    CorruptPartition: ExitCode.STORAGE,
    IncompatibleData: ExitCode.STORAGE,
    BackupError: ExitCode.STORAGE,
    StoreUnavailable: ExitCode.STORAGE,
    MissingFeatures: ExitCode.STORAGE,
    NothingPublished: ExitCode.STORAGE,
    InvalidBars: ExitCode.WRONG_INPUT,
    InvalidFeatures: ExitCode.WRONG_INPUT,
    ModelUnavailable: ExitCode.MODEL,
    UntrustedModel: ExitCode.MODEL,
}
_DISK_FAULTS = {errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EROFS, errno.EDQUOT}


def exit_code(error: BaseException) -> ExitCode:
    """Give the code of an error that ended a command."""
    if isinstance(error, CryptoPoolError):
        return code_of(type(error))
    if isinstance(error, OSError) and error.errno in _DISK_FAULTS:
        return ExitCode.STORAGE
    return ExitCode.DEFECT


def code_of(kind: type[CryptoPoolError]) -> ExitCode:
    """Give the code of a class of the error tree."""
    return next(_CODES[ancestor] for ancestor in kind.__mro__ if ancestor in _CODES)
