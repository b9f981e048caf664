"""The latest publication, open for reading, and the state of the pool it holds."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock

import anyio
import duckdb
from watchfiles import awatch

from crypto_pool.adapters.prediction_tables import LINK_NAME
from crypto_pool.domain.staleness import RetrainRules
from crypto_pool.errors import QueryError
from crypto_pool.serving import queries
from crypto_pool.serving.schemas import PoolState
from crypto_pool.serving.state import PoolRows, pool_state

LOOK_AGAIN_MS = 5000  # where the system reports no file events, the link is read this often
_CONFIG: dict[str, str | bool | int | float | list[str]] = {"enable_external_access": False}
_logger = logging.getLogger(__name__)


class Publication:
    """One published file, open until its last reader has left after it was retired."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._readers = 0
        self._retired = False
        self._connection = duckdb.connect(str(path), read_only=True, config=_CONFIG)
        self._connection.execute("SET threads = 1")

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor of its own to each thread; holds the file open meanwhile."""
        with self._lock:
            self._readers += 1
        try:
            with self._connection.cursor() as cursor:
                yield cursor
        finally:
            with self._lock:
                self._readers -= 1
                self._close_if_unused()

    def retire(self) -> None:
        """Close the file as soon as nobody reads it."""
        with self._lock:
            self._retired = True
            self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._retired and self._readers == 0:
            self._connection.close()


@dataclass(eq=False)
class PublicationReader:
    """Answers from the latest publication and follows the link to the next one.

    It speaks of `symbols`, or of the coins that are published if nobody asked for any.
    """

    data_dir: Path
    symbols: tuple[str, ...] | None
    last_closed: Callable[[], date]
    rules: RetrainRules
    _: KW_ONLY
    synthetic_source: bool
    fault: str | None = field(default=None, init=False)
    _current: tuple[Publication, PoolRows, PoolState] | None = field(default=None, init=False)
    _changing: Lock = field(default_factory=Lock, init=False)

    def __post_init__(self) -> None:
        """Find the link to the latest publication."""
        self._link = self.data_dir / LINK_NAME

    def state(self) -> PoolState:
        """Return the pool as published, aged to today; raises QueryError if nothing is."""
        current = self._opened()
        publication, rows, state = current
        if state.last_closed == self.last_closed():
            return state
        aged = self._state(rows)
        with self._changing:
            if self._current is current:  # else a newer publication came meanwhile
                self._current = publication, rows, aged
        return aged

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor over the publication; raises QueryError if there is none."""
        with ExitStack() as reading:
            with self._changing:  # it is not retired before it counts this reader
                cursor = reading.enter_context(self._opened()[0].cursor())
            yield cursor

    def refresh(self) -> None:
        """Read the link; open what it newly points at and retire the last one.

        A publication that cannot be read is put on record in `fault`, and the
        last one goes on answering.
        """
        if not self._link.exists():
            return
        target = self._link.resolve()
        if self._current is not None and self._current[0].path == target:
            return
        try:
            publication = Publication(target)
            rows = _read(publication)
            latest = publication, rows, self._state(rows)
        except (duckdb.Error, OSError, ValueError, KeyError) as error:
            fault = f"{target.name} cannot be read: {error}"
            if fault != self.fault:  # it is met again every few seconds until it is mended
                _logger.exception("publication %s cannot be read", target)
            self.fault = fault
            return
        self._replace(latest)
        self.fault = None

    async def follow(self, stop: anyio.Event) -> None:
        """Refresh whenever the folder changes, until `stop` is set."""
        changes = awatch(
            self._link.parent,
            recursive=False,
            debounce=200,
            step=50,
            stop_event=stop,
            rust_timeout=LOOK_AGAIN_MS,
            yield_on_timeout=True,
        )
        async for _ in changes:
            await anyio.to_thread.run_sync(self.refresh)

    def close(self) -> None:
        """Close the publication once its readers have left."""
        self._replace(None)

    def _opened(self) -> tuple[Publication, PoolRows, PoolState]:
        current = self._current
        if current is None:
            raise QueryError(
                f"nothing to answer from: {self.fault or f'{self._link} does not exist'}; "
                "run `crypto-pool build`, the answer is there as soon as it has published"
            )
        return current

    def _replace(self, latest: tuple[Publication, PoolRows, PoolState] | None) -> None:
        with self._changing:
            last, self._current = self._current, latest
        if last is not None:
            last[0].retire()

    def _state(self, rows: PoolRows) -> PoolState:
        return pool_state(
            rows,
            self.symbols or rows.symbols,
            self.last_closed(),
            self.rules,
            synthetic_source=self.synthetic_source,
        )


def _read(publication: Publication) -> PoolRows:
    with publication.cursor() as cursor:
        return PoolRows(
            publication=publication.path.name,
            published_at_utc=datetime.fromtimestamp(publication.path.stat().st_mtime, UTC),
            predictions=queries.latest(cursor, "predictions", "prediction_date"),
            champions=queries.latest(cursor, "champions", "model_version"),
            records=queries.track_record(cursor),
            decisions=queries.latest(cursor, "promotions", "decided_at_utc"),
            trainings=queries.trainings(cursor),
            symbols=queries.stored_symbols(cursor),
            panel=queries.latest_panel(cursor),
        )
