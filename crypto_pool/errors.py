"""Every error this project raises on purpose.

CryptoPoolError
├── InvalidSetting        a setting is missing or wrong
├── ProviderMismatch      a data folder belongs to another source of bars
├── ProviderError         a source of market data did not give what was asked
│   ├── UnknownSymbol         it has no such coin
│   ├── BurstLimit            too many requests at once: wait, go on
│   ├── DailyQuotaExhausted   no request is left of 24 hours: go on when the next is free
│   ├── InvalidApiKey         the key is missing or wrong
│   ├── PremiumEndpoint       the provider, or the key's plan, does not have the function
│   ├── MalformedAnswer       the answer is no data of the known form
│   ├── NoData                a well-formed answer without a row
│   └── ProviderUnavailable   no answer: connection fault, time-out or server error
├── InvalidBars           bars that no repair can make usable
│   ├── InsufficientHistory   too few bars to be forecast
│   ├── HistoryChanged        the provider now tells another past than the stored one
│   └── UnfitBars             well-formed bars that nothing can be learned from
│       └── BrokenHistory         a level break that nobody has accepted
├── InvalidFeatures       feature rows that no model may be trained on
├── InvalidRows           rows that do not fit their table
├── MissingPartition      a stored partition does not exist
├── CorruptPartition      a stored partition cannot be read
├── IncompatibleData      a data folder or a backup is of a version unknown here
├── BackupError           a backup could not be made, or not be restored
├── UnscoredCandidate     a candidate could not be evaluated on these rows
├── UntrustedModel        a stored model is not what was logged
├── ModelUnavailable      a registered model cannot be found or read
├── MissingFeatures       what a forecast of the asked bar date rests on is missing
├── QueryError            the DuckDB file refused the SQL
│   └── NothingPublished      there is no DuckDB file that can be read
├── WorkersUnavailable    a Dask cluster cannot be trained on
├── StoreUnavailable      an object store does not answer, or takes no files
└── MembersFailed         a batch ended, but not for every member
"""

from enum import IntEnum


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


def let_interrupts_pass(fault: BaseException) -> None:
    """Raise what ends a process or a Dagster run, in whosever code it arrives.

    Whatever else an extension ends with, as by SystemExit or a panic of Rust, ends the pool's not.
    """
    is_of_dagster = type(fault).__module__.partition(".")[0] == "dagster"
    if isinstance(fault, KeyboardInterrupt | GeneratorExit) or (
        is_of_dagster and not isinstance(fault, Exception)
    ):
        raise fault


class CryptoPoolError(Exception):
    """Base of the tree; its message names the thing, the value and the way out.

    `exit_code` is how a command ends that it ended.
    """

    exit_code = ExitCode.WRONG_INPUT

    def __init_subclass__(cls, exit_code: ExitCode | None = None) -> None:
        """Take the exit code of the class before where none is given."""
        cls.exit_code = exit_code or cls.exit_code


class InvalidSetting(CryptoPoolError):
    """A setting is missing or wrong."""


class ProviderMismatch(CryptoPoolError):
    """A data folder belongs to another source of bars."""


class ProviderError(CryptoPoolError, exit_code=ExitCode.PROVIDER):
    """A source did not give what was asked; where it says, the same request may be answered later.

    `wait_seconds` is how much later; None where asking again is no use.
    """

    wait_seconds: float | None = None


class UnknownSymbol(ProviderError):
    """The provider has no such coin."""


class BurstLimit(ProviderError):
    """Too many requests at once."""

    wait_seconds: float | None = 1.5


class DailyQuotaExhausted(ProviderError):
    """No request is left of the last 24 hours, or the provider says that the day's are used up."""


class InvalidApiKey(ProviderError):
    """The API key is missing or wrong."""


class PremiumEndpoint(ProviderError):
    """The provider, or the key's plan, does not have the function."""


class MalformedAnswer(ProviderError):
    """The answer is truncated, or no data of the known form."""


class NoData(ProviderError):
    """A well-formed answer without a row."""


class ProviderUnavailable(ProviderError):
    """No answer; the same request may be answered a moment later."""

    wait_seconds: float | None = 1.0


class InvalidBars(CryptoPoolError):
    """Bars that no repair can make usable."""


class InsufficientHistory(InvalidBars):
    """Too few bars to be forecast."""


class HistoryChanged(InvalidBars):
    """The provider now tells another past than the stored one."""


class UnfitBars(InvalidBars):
    """Well-formed bars that nothing can be learned from: of weeks, without volume, of one price."""


class BrokenHistory(UnfitBars):
    """A level break that nobody has accepted."""


class InvalidFeatures(CryptoPoolError):
    """Feature rows that no model may be trained on."""


class InvalidRows(CryptoPoolError, exit_code=ExitCode.STORAGE):
    """Rows that do not fit their table."""


class MissingPartition(CryptoPoolError, exit_code=ExitCode.STORAGE):
    """A stored partition does not exist."""


class CorruptPartition(CryptoPoolError, exit_code=ExitCode.STORAGE):
    """A stored partition cannot be read."""


class IncompatibleData(CryptoPoolError, exit_code=ExitCode.STORAGE):
    """A data folder or a backup is of a version that is unknown here."""


class BackupError(CryptoPoolError, exit_code=ExitCode.STORAGE):
    """A backup could not be made, or not be restored."""


class UnscoredCandidate(CryptoPoolError, exit_code=ExitCode.MEMBERS_FAILED):
    """A candidate could not be evaluated on these rows."""


class UntrustedModel(CryptoPoolError, exit_code=ExitCode.MODEL):
    """A stored model is not what was logged."""


class ModelUnavailable(CryptoPoolError, exit_code=ExitCode.MODEL):
    """A registered model cannot be found or read."""


class MissingFeatures(CryptoPoolError, exit_code=ExitCode.STORAGE):
    """What a forecast of the asked bar date rests on is missing: features, reference or panel."""


class QueryError(CryptoPoolError):
    """The DuckDB file refused the SQL."""


class NothingPublished(QueryError, exit_code=ExitCode.STORAGE):
    """There is no DuckDB file, or none that can be read."""


class WorkersUnavailable(CryptoPoolError):
    """A Dask cluster cannot be trained on."""


class StoreUnavailable(CryptoPoolError, exit_code=ExitCode.STORAGE):
    """An object store does not answer, or takes no files."""


class MembersFailed(CryptoPoolError, exit_code=ExitCode.MEMBERS_FAILED):
    """A batch ended, but not for every member."""
