"""The latest publication, open for reading, and the state of the pool it holds."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock
from typing import NamedTuple

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


class Publication(NamedTuple):
    """A published file with what was read of it; open until nobody holds it or a cursor of it."""

    path: Path
    connection: duckdb.DuckDBPyConnection
    rows: PoolRows
    state: PoolState


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
    _current: Publication | None = field(default=None, init=False)
    _changing: Lock = field(default_factory=Lock, init=False)

    def __post_init__(self) -> None:
        """Find the link to the latest publication."""
        self._link = self.data_dir / LINK_NAME

    def state(self) -> PoolState:
        """Return the pool as published, aged to today; raises QueryError if nothing is."""
        current = self._opened()
        if current.state.last_closed == self.last_closed():
            return current.state
        aged = self._state(current.rows)
        with self._changing:
            if self._current is current:  # else a newer publication came meanwhile
                self._current = current._replace(state=aged)
        return aged

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor of one's own over the publication; raises QueryError if there is none."""
        with self._opened().connection.cursor() as cursor:
            yield cursor

    def refresh(self) -> None:
        """Read the link; open what it newly points at and let go of the last one.

        A publication that cannot be read is put on record in `fault`, and the
        last one goes on answering.
        """
        if not self._link.exists():
            return
        target = self._link.resolve()
        if self._current is not None and self._current.path == target:
            self.fault = None  # as after a link that was mended
            return
        try:
            latest = self._open(target)
        except (duckdb.Error, OSError, ValueError, KeyError) as error:
            fault = f"{target.name} cannot be read: {error}"
            if fault != self.fault:  # it is met again every few seconds until it is mended
                _logger.exception("publication %s cannot be read", target)
            self.fault = fault
            return
        with self._changing:
            self._current = latest
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
        """Let go of the publication; it is closed once its readers have left."""
        with self._changing:
            self._current = None

    def _opened(self) -> Publication:
        current = self._current
        if current is None:
            raise QueryError(
                f"nothing to answer from: {self.fault or f'{self._link} does not exist'}; "
                "run `crypto-pool build`, the answer is there as soon as it has published"
            )
        return current

    def _open(self, path: Path) -> Publication:
        connection = duckdb.connect(str(path), read_only=True, config=_CONFIG)
        connection.execute("SET threads = 1")
        rows = PoolRows(
            publication=path.name,
            published_at_utc=datetime.fromtimestamp(path.stat().st_mtime, UTC),
            predictions=queries.latest(connection, "predictions", "prediction_date"),
            champions=queries.latest(connection, "champions", "model_version"),
            records=queries.track_record(connection),
            decisions=queries.latest(connection, "promotions", "decided_at_utc"),
            trainings=queries.trainings(connection),
            missing=queries.missing_forecasts(connection),
            symbols=queries.stored_symbols(connection),
            panel=queries.latest_panel(connection),
        )
        return Publication(path, connection, rows, self._state(rows))

    def _state(self, rows: PoolRows) -> PoolState:
        return pool_state(
            rows,
            self.symbols or rows.symbols,
            self.last_closed(),
            self.rules,
            synthetic_source=self.synthetic_source,
        )
