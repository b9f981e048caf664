"""Every error this project raises on purpose.

CryptoPoolError
├── InvalidSetting        a setting is missing or wrong
├── ProviderMismatch      a data folder belongs to another source of bars
├── UnknownSymbol         the provider has no such coin
├── InvalidBars           bars that no repair can make usable
│   └── InsufficientHistory   too few bars to train on
├── MissingPartition      a stored partition does not exist
├── CorruptPartition      a stored partition cannot be read
├── UnscoredCandidate     a candidate could not be evaluated on these rows
├── UntrustedModel        a stored model is not what was logged
├── ModelUnavailable      a registered model cannot be found or read
├── MissingFeatures       no feature row for the asked bar date
├── QueryError            the DuckDB file is missing or refused the SQL
└── MembersFailed         a batch ended, but not for every member
"""


class CryptoPoolError(Exception):
    """Base of the tree; its message names the thing, the value and the way out."""


class InvalidSetting(CryptoPoolError):
    """A setting is missing or wrong."""


class ProviderMismatch(CryptoPoolError):
    """A data folder belongs to another source of bars."""


class UnknownSymbol(CryptoPoolError):
    """The provider has no such coin."""


class InvalidBars(CryptoPoolError):
    """Bars that no repair can make usable."""


class InsufficientHistory(InvalidBars):
    """Too few bars to train on."""


class MissingPartition(CryptoPoolError):
    """A stored partition does not exist."""


class CorruptPartition(CryptoPoolError):
    """A stored partition cannot be read."""


class UnscoredCandidate(CryptoPoolError):
    """A candidate could not be evaluated on these rows."""


class UntrustedModel(CryptoPoolError):
    """A stored model is not what was logged."""


class ModelUnavailable(CryptoPoolError):
    """A registered model cannot be found or read."""


class MissingFeatures(CryptoPoolError):
    """No feature row for the asked bar date."""


class QueryError(CryptoPoolError):
    """The DuckDB file is missing or refused the SQL."""


class MembersFailed(CryptoPoolError):
    """A batch ended, but not for every member."""
